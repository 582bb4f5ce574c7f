use std::collections::BTreeMap;
use std::io::{self, Write};

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;

use crate::digest::{ContentDigest, TarSplitDigest};
use crate::entry::{Chunk, ChunkKind, Content, Entry, Timestamp};
use crate::json;
use crate::toc::{instant, type_name};

/// Writes a TOC, entry by entry, as the bytes that containers/storage's converter writes.
///
/// The text is compact JSON: keys in the order of the reference, values that are zero left out, `<`, `>` and `&`
/// escaped, times in UTC. Only one row is held in memory.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    row: Vec<u8>,
    first: bool,
}

impl<W: Write> Writer<W> {
    /// Starts a TOC.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(br#"{"version":1,"entries":["#)?;
        Ok(Self { out, row: Vec::new(), first: true })
    }

    /// Writes one entry: a row, and for a file of several chunks a row for each further chunk.
    ///
    /// # Errors
    /// `InvalidInput` for a time outside the years 0 to 9999, or nanoseconds that make a second; otherwise those of
    /// `out`. After an error the TOC is not usable.
    pub fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        self.start_row(type_name(entry.kind), &entry.name);
        let mut row = Row(&mut self.row);
        row.metadata(entry)?;
        let chunks = match &entry.content {
            Some(content) => {
                row.content(content)?;
                content.chunks.as_slice()
            }
            None => &[],
        };
        // A file in one piece has no chunk fields: the file's own digest and range say it all.
        if let [first, rest @ ..] = chunks
            && !rest.is_empty()
        {
            row.chunk(first)?;
            self.end_row()?;
            for chunk in rest {
                self.start_row("chunk", &entry.name);
                let mut row = Row(&mut self.row);
                row.number("offset", chunk.blob.start())?;
                row.chunk(chunk)?;
                self.end_row()?;
            }
            return Ok(());
        }
        self.end_row()
    }

    /// Ends the TOC, which then commits to the compressed tar-split with that digest, and gives `out` back.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn finish(mut self, tar_split: Option<&TarSplitDigest>) -> io::Result<W> {
        match tar_split {
            Some(digest) => write!(self.out, r#"],"tarSplitDigest":"{digest}"}}"#)?,
            None => self.out.write_all(b"]}")?,
        }
        Ok(self.out)
    }

    fn start_row(&mut self, kind: &str, name: &str) {
        self.row.clear();
        if !std::mem::take(&mut self.first) {
            self.row.push(b',');
        }
        self.row.extend_from_slice(br#"{"type":"#);
        json::string(kind, &mut self.row);
        // Unlike all others, the name is there even when it is empty.
        self.row.extend_from_slice(br#","name":"#);
        json::string(name, &mut self.row);
    }

    fn end_row(&mut self) -> io::Result<()> {
        self.row.push(b'}');
        self.out.write_all(&self.row)
    }
}

/// The keys and values of a row that has been started; a value that is zero leaves its key out.
struct Row<'a>(&'a mut Vec<u8>);

impl Row<'_> {
    fn metadata(&mut self, entry: &Entry) -> io::Result<()> {
        self.string("linkName", &entry.link_name)?;
        self.integer("mode", entry.mode)?;
        self.number("size", entry.size)?;
        self.integer("uid", entry.uid)?;
        self.integer("gid", entry.gid)?;
        self.time("modtime", entry.modified)?;
        self.time("accesstime", entry.accessed)?;
        self.time("changetime", entry.changed)?;
        self.integer("devMajor", entry.dev_major)?;
        self.integer("devMinor", entry.dev_minor)?;
        self.xattrs(&entry.xattrs)
    }

    fn content(&mut self, content: &Content) -> io::Result<()> {
        self.digest("digest", content.digest)?;
        self.number("offset", content.range.start())?;
        self.number("endOffset", content.range.end())
    }

    fn chunk(&mut self, chunk: &Chunk) -> io::Result<()> {
        self.number("chunkSize", chunk.file.len())?;
        self.number("chunkOffset", chunk.file.start())?;
        self.digest("chunkDigest", chunk.digest)?;
        match chunk.kind {
            ChunkKind::Data => Ok(()),
            ChunkKind::Zeros => self.string("chunkType", "zeros"),
        }
    }

    fn xattrs(&mut self, xattrs: &BTreeMap<String, Vec<u8>>) -> io::Result<()> {
        for (index, (name, value)) in xattrs.iter().enumerate() {
            self.0.write_all(if index == 0 { br#","xattrs":{"# } else { b"," })?;
            json::string(name, self.0);
            write!(self.0, r#":"{}""#, Base64Display::new(value, &STANDARD))?;
        }
        self.0.write_all(if xattrs.is_empty() { b"" } else { b"}" })
    }

    fn time(&mut self, key: &str, value: Option<Timestamp>) -> io::Result<()> {
        let Some(value) = value else { return Ok(()) };
        write!(self.0, r#","{key}":""#)?;
        instant::write(self.0, value)?;
        self.0.write_all(b"\"")
    }

    fn digest(&mut self, key: &str, value: Option<ContentDigest>) -> io::Result<()> {
        value.map_or(Ok(()), |digest| write!(self.0, r#","{key}":"{digest}""#))
    }

    fn string(&mut self, key: &str, value: &str) -> io::Result<()> {
        if !value.is_empty() {
            write!(self.0, r#","{key}":"#)?;
            json::string(value, self.0);
        }
        Ok(())
    }

    fn integer(&mut self, key: &str, value: i64) -> io::Result<()> {
        if value == 0 { Ok(()) } else { write!(self.0, r#","{key}":{value}"#) }
    }

    fn number(&mut self, key: &str, value: u64) -> io::Result<()> {
        if value == 0 { Ok(()) } else { write!(self.0, r#","{key}":{value}"#) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::EntryKind;
    use crate::range::{BlobRange, FileRange};

    fn rows(entries: &[Entry]) -> String {
        let mut writer = Writer::new(Vec::new()).unwrap();
        for entry in entries {
            writer.entry(entry).unwrap();
        }
        let text = String::from_utf8(writer.finish(None).unwrap()).unwrap();
        text.replace("},{", "},\n{")
    }

    fn chunk(file: (u64, u64), blob: (u64, u64), content: &[u8], kind: ChunkKind) -> Chunk {
        Chunk {
            file: FileRange::new(file.0, file.1).unwrap(),
            blob: BlobRange::new(blob.0, blob.1).unwrap(),
            inner_offset: 0,
            digest: Some(ContentDigest::of(content)),
            kind,
        }
    }

    fn file(name: &str, size: u64, chunks: Vec<Chunk>) -> Entry {
        let (start, end) = (chunks.first().unwrap().blob.start(), chunks.last().unwrap().blob.end());
        let range = BlobRange::new(start, end).unwrap();
        let content = Content { digest: Some(ContentDigest::of(b"whole")), range, chunks };
        Entry { size, mode: 0o644, content: Some(content), ..Entry::new(EntryKind::Regular, name) }
    }

    #[test]
    fn an_empty_toc_has_its_frame() {
        let text = |tar_split: Option<&TarSplitDigest>| {
            String::from_utf8(Writer::new(Vec::new()).unwrap().finish(tar_split).unwrap()).unwrap()
        };
        assert_eq!(text(None), r#"{"version":1,"entries":[]}"#);
        insta::assert_snapshot!(text(Some(&TarSplitDigest::of(b"x"))), @r#"{"version":1,"entries":[],"tarSplitDigest":"sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"}"#);
    }

    #[test]
    fn a_chunked_file_has_a_row_for_each_chunk() {
        let entry = file(
            "holes",
            7000,
            vec![
                chunk((0, 1000), (700, 740), b"a", ChunkKind::Data),
                chunk((1000, 5000), (740, 760), b"b", ChunkKind::Zeros),
                chunk((5000, 7000), (760, 900), b"c", ChunkKind::Data),
            ],
        );
        insta::assert_snapshot!(rows(&[entry]), @r#"
        {"version":1,"entries":[{"type":"reg","name":"holes","mode":420,"size":7000,"digest":"sha256:5d5766cf2d78701614200418ee1450690d9af12c84d52545e4802f001ad53099","offset":700,"endOffset":900,"chunkSize":1000,"chunkDigest":"sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"},
        {"type":"chunk","name":"holes","offset":740,"chunkSize":4000,"chunkOffset":1000,"chunkDigest":"sha256:3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d","chunkType":"zeros"},
        {"type":"chunk","name":"holes","offset":760,"chunkSize":2000,"chunkOffset":5000,"chunkDigest":"sha256:2e7d2c03a9507ae265ecf5b5356885a53393a2029d241394997265a1a25aefc6"}]}
        "#);
    }

    #[test]
    fn a_file_in_one_piece_has_no_chunk_fields() {
        let entry = file("one", 5, vec![chunk((0, 5), (80, 99), b"whole", ChunkKind::Zeros)]);
        insta::assert_snapshot!(rows(&[entry]), @r#"{"version":1,"entries":[{"type":"reg","name":"one","mode":420,"size":5,"digest":"sha256:5d5766cf2d78701614200418ee1450690d9af12c84d52545e4802f001ad53099","offset":80,"endOffset":99}]}"#);
    }

    #[test]
    fn metadata_is_written_in_the_order_of_the_reference() {
        let at = |seconds, nanoseconds| Some(Timestamp { seconds, nanoseconds });
        let xattrs = [("user.b".into(), vec![0, 255]), ("security.capability".into(), b"x".to_vec())];
        let entry = Entry {
            link_name: "/target".into(),
            mode: 0o4755,
            size: 9,
            uid: 1000,
            gid: -2,
            modified: at(0, 0),
            accessed: at(1_700_000_000, 500_000_000),
            changed: at(-1, 0),
            dev_major: 8,
            dev_minor: 1,
            xattrs: xattrs.into(),
            ..Entry::new(EntryKind::Symlink, "./all")
        };
        insta::assert_snapshot!(rows(&[entry]), @r#"{"version":1,"entries":[{"type":"symlink","name":"./all","linkName":"/target","mode":2541,"size":9,"uid":1000,"gid":-2,"modtime":"1970-01-01T00:00:00Z","accesstime":"2023-11-14T22:13:20.5Z","changetime":"1969-12-31T23:59:59Z","devMajor":8,"devMinor":1,"xattrs":{"security.capability":"eA==","user.b":"AP8="}}]}"#);
    }

    #[test]
    fn every_type_has_its_name() {
        let device = |kind, name: &str| Entry { dev_major: 1, dev_minor: 3, ..Entry::new(kind, name) };
        let link = Entry { link_name: "f".into(), ..Entry::new(EntryKind::Hardlink, "hard") };
        insta::assert_snapshot!(rows(&[
            Entry::new(EntryKind::Directory, "dir/"),
            Entry::new(EntryKind::Regular, ".wh.gone"),
            link,
            device(EntryKind::CharDevice, "null"),
            device(EntryKind::BlockDevice, "disk"),
            Entry::new(EntryKind::Fifo, ""),
        ]), @r#"
        {"version":1,"entries":[{"type":"dir","name":"dir/"},
        {"type":"reg","name":".wh.gone"},
        {"type":"hardlink","name":"hard","linkName":"f"},
        {"type":"char","name":"null","devMajor":1,"devMinor":3},
        {"type":"block","name":"disk","devMajor":1,"devMinor":3},
        {"type":"fifo","name":""}]}
        "#);
    }

    #[test]
    fn names_attributes_and_targets_are_escaped() {
        let link = Entry { link_name: "<b>".into(), ..Entry::new(EntryKind::Symlink, "a\"&") };
        let entry = Entry { xattrs: [("user.\n".into(), vec![])].into(), ..link };
        insta::assert_snapshot!(rows(&[entry]), @r#"{"version":1,"entries":[{"type":"symlink","name":"a\"\u0026","linkName":"\u003cb\u003e","xattrs":{"user.\n":""}}]}"#);
    }

    #[test]
    fn a_year_that_cannot_be_written_is_an_error() {
        let modified = Some(Timestamp { seconds: 253_402_300_800, nanoseconds: 0 });
        let entry = Entry { modified, ..Entry::new(EntryKind::Directory, "later") };
        let error = Writer::new(Vec::new()).unwrap().entry(&entry).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
