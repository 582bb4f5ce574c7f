use std::io::{BufRead, Read, Write};

use super::invalid::shorten;
use super::{Crc64, Invalid, Paths, Problem, Reader, Record};
use crate::error::Error;

/// Rebuilds the tar that a tar-split stream was made from, byte for byte; returns its length.
///
/// `open` is given the raw name of each member with bytes, in tar order, and opens its content, which must have exactly
/// the length and the CRC-64 that the stream records. The caller hashes `out` to know that it is the right tar: a
/// checksum proves nothing.
///
/// # Errors
/// [`Error::TarSplit`] when the stream is malformed, names a path twice, or does not fit the content.
pub fn rebuild<R: BufRead, C: Read>(
    reader: &mut Reader<R>,
    out: &mut impl Write,
    mut open: impl FnMut(&[u8]) -> std::io::Result<C>,
) -> Result<u64, Error> {
    let mut paths = Paths::new();
    let mut total = 0_u64;
    loop {
        let record = reader.records();
        let len = match reader.read()? {
            None => return Ok(total),
            Some(Record::Segment(bytes)) => {
                out.write_all(bytes).map_err(write)?;
                bytes.len() as u64
            }
            Some(Record::File { name, len, crc64 }) => {
                let copy = Copy { record, name: &name, len, crc64 };
                if !paths.insert(&name) {
                    return Err(copy.invalid(Problem::DuplicatePath { path: copy.path() }));
                }
                if len > 0 {
                    copy.run(open(&name).map_err(read)?, out)?;
                }
                len
            }
        };
        total = total.saturating_add(len);
    }
}

/// One file's content on its way into the tar.
struct Copy<'a> {
    record: u64,
    name: &'a [u8],
    len: u64,
    crc64: Option<u64>,
}

impl Copy<'_> {
    fn run(&self, content: impl Read, out: &mut impl Write) -> Result<(), Error> {
        let mut content = content.take(self.len.saturating_add(1));
        let mut buffer = [0; 16 << 10];
        let mut crc = Crc64::new();
        let mut found = 0_u64;
        loop {
            let count = content.read(&mut buffer).map_err(read)?;
            found = found.saturating_add(count as u64);
            if found > self.len || (count == 0 && found < self.len) {
                return Err(self.invalid(Problem::ContentLen {
                    path: self.path(),
                    expected: self.len,
                    found,
                }));
            }
            if count == 0 {
                return self.check(crc.finish());
            }
            let bytes = buffer.get(..count).unwrap_or_default();
            crc.update(bytes);
            out.write_all(bytes).map_err(write)?;
        }
    }

    fn check(&self, found: u64) -> Result<(), Error> {
        match self.crc64 {
            Some(expected) if expected != found => {
                Err(self.invalid(Problem::ContentChecksum { path: self.path(), expected, found }))
            }
            _ => Ok(()),
        }
    }

    fn path(&self) -> String {
        shorten(self.name)
    }

    fn invalid(&self, problem: Problem) -> Error {
        Error::TarSplit(Invalid { record: self.record, problem })
    }
}

fn read(source: std::io::Error) -> Error {
    Error::Read { what: "the content of a file", source }
}

fn write(source: std::io::Error) -> Error {
    Error::Write { what: "the rebuilt tar", source }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::limits::Limits;
    use crate::tar_split::Writer;

    const HELLO: u64 = 0x614c_3eee_e2d8_1000;

    fn stream(records: impl FnOnce(&mut Writer<Vec<u8>>) -> io::Result<()>) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new());
        records(&mut writer).unwrap();
        writer.finish()
    }

    fn rebuilt(stream: &[u8], content: &'static [u8]) -> Result<Vec<u8>, Error> {
        let mut tar = Vec::new();
        let mut reader = Reader::new(stream, &Limits::default());
        let len = rebuild(&mut reader, &mut tar, |_| Ok(content))?;
        assert_eq!(len, tar.len() as u64);
        Ok(tar)
    }

    #[test]
    fn segments_and_content_interleave() {
        let stream = stream(|writer| {
            writer.segment(b"<a>")?;
            writer.file(b"a", 6, HELLO)?;
            writer.segment(b"<dir>")?;
            writer.file(b"dir/", 0, 0)?;
            writer.segment(b"<b>")?;
            writer.file(b"\xff", 6, HELLO)?;
            writer.segment(b"end")
        });
        assert_eq!(rebuilt(&stream, b"hello\n").unwrap(), b"<a>hello\n<dir><b>hello\nend");
    }

    #[test]
    fn content_that_does_not_fit_is_refused() {
        let stream = stream(|writer| {
            writer.segment(b"header")?;
            writer.file(b"a", 6, HELLO)
        });
        let refusal = |content| rebuilt(&stream, content).unwrap_err().to_string();
        let refusals = [refusal(b"hello"), refusal(b"hello\n\n"), refusal(b"hallo\n")];
        insta::assert_snapshot!(refusals.join("\n"), @"
        record 1 of the tar-split needs 6 bytes of `a`, found 5
        record 1 of the tar-split needs 6 bytes of `a`, found 7
        record 1 of the tar-split needs `a` with CRC-64 614c3eeee2d81000, found 614c3eeee4181000
        ");
    }

    #[test]
    fn a_path_that_comes_twice_is_refused() {
        let stream = stream(|writer| {
            writer.file(b"a", 0, 0)?;
            writer.file(b"./a", 0, 0)
        });
        insta::assert_snapshot!(rebuilt(&stream, b"").unwrap_err(), @"record 1 of the tar-split repeats the path `./a`");
    }
}
