use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::json;

/// Raw bytes encoded at a time: a multiple of 3, so that the pieces join to one base64 text.
const PIECE_LEN: usize = 48 << 10;

/// Writes a tar-split stream, byte for byte as the reference converter's Go encoder does.
///
/// For each member of the tar call [`segment`](Self::segment) with the bytes since the member before (its padding, and
/// the complete header), then [`file`](Self::file), whatever the member's type. Each record reaches `out` in one write,
/// or in pieces of 64 KiB when it is long; nothing is held between records.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    line: Vec<u8>,
    position: u64,
}

impl<W: Write> Writer<W> {
    /// Starts an empty stream.
    pub fn new(out: W) -> Self {
        Self { out, line: Vec::new(), position: 0 }
    }

    /// Writes raw bytes of the tar; nothing when there are none.
    pub fn segment(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.line.extend_from_slice(br#"{"type":2,"payload":""#);
        self.base64(bytes)?;
        self.line.push(b'"');
        self.end_record()
    }

    /// Writes the record of one member: its raw name, and for a member with bytes their number and [`Crc64`].
    ///
    /// `crc64` is ignored when `len` is 0.
    ///
    /// [`Crc64`]: super::Crc64
    pub fn file(&mut self, name: &[u8], len: u64, crc64: u64) -> io::Result<()> {
        self.line.extend_from_slice(br#"{"type":1"#);
        self.name(name)?;
        if len == 0 {
            self.line.extend_from_slice(br#","payload":null"#);
        } else {
            write!(self.line, r#","size":{len},"payload":""#)?;
            self.base64(&crc64.to_be_bytes())?;
            self.line.push(b'"');
        }
        self.end_record()
    }

    /// Returns the output. It is not flushed.
    pub fn finish(self) -> W {
        self.out
    }

    fn name(&mut self, name: &[u8]) -> io::Result<()> {
        match str::from_utf8(name) {
            Ok("") => {}
            Ok(text) => {
                self.line.extend_from_slice(br#","name":"#);
                json::string(text, &mut self.line);
            }
            Err(_) => {
                self.line.extend_from_slice(br#","name_raw":""#);
                self.base64(name)?;
                self.line.push(b'"');
            }
        }
        Ok(())
    }

    fn base64(&mut self, bytes: &[u8]) -> io::Result<()> {
        for (index, piece) in bytes.chunks(PIECE_LEN).enumerate() {
            if index > 0 {
                self.flush_line()?;
            }
            let start = self.line.len();
            self.line.resize(start + piece.len().div_ceil(3) * 4, 0);
            let text = self.line.get_mut(start..).unwrap_or_default();
            STANDARD.encode_slice(piece, text).map_err(io::Error::other)?;
        }
        Ok(())
    }

    fn end_record(&mut self) -> io::Result<()> {
        writeln!(self.line, r#","position":{}}}"#, self.position)?;
        self.position = self.position.saturating_add(1);
        self.flush_line()
    }

    fn flush_line(&mut self) -> io::Result<()> {
        let result = self.out.write_all(&self.line);
        self.line.clear();
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(records: impl FnOnce(&mut Writer<Vec<u8>>) -> io::Result<()>) -> String {
        let mut writer = Writer::new(Vec::new());
        records(&mut writer).unwrap();
        String::from_utf8(writer.finish()).unwrap()
    }

    #[test]
    fn records_are_those_of_the_go_encoder() {
        let text = written(|writer| {
            writer.segment(b"header")?;
            writer.file(b"dir/", 0, 77)?;
            writer.segment(b"")?;
            writer.file(b"a", 6, super::super::Crc64::of(b"hello\n"))?;
            writer.file(b"caf\xe9", 0, 0)?;
            writer.file(b"", 0, 0)
        });
        insta::assert_snapshot!(text, @r#"
        {"type":2,"payload":"aGVhZGVy","position":0}
        {"type":1,"name":"dir/","payload":null,"position":1}
        {"type":1,"name":"a","size":6,"payload":"YUw+7uLYEAA=","position":2}
        {"type":1,"name_raw":"Y2Fm6Q==","payload":null,"position":3}
        {"type":1,"payload":null,"position":4}
        "#);
    }

    #[test]
    fn long_segments_are_one_base64_text() {
        let bytes: Vec<u8> = (0..3 * PIECE_LEN + 1).map(|i| i as u8).collect();
        let text = written(|writer| writer.segment(&bytes));
        let payload = text.strip_prefix(r#"{"type":2,"payload":""#).unwrap();
        let payload = payload.strip_suffix("\",\"position\":0}\n").unwrap();
        assert_eq!(STANDARD.decode(payload).unwrap(), bytes);
    }
}
