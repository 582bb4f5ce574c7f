//! Reads single rows of a table.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use chunked::{Chunk, ContentDigest};

use super::row::{CHUNK_LEN, CONTENT_LEN, ChunkRow, ContentRow, Fields};
use crate::error::{Error, at_path};

pub(super) const MAGIC: &[u8; 8] = b"morselt\x02";
/// Most bits of a digest that the fan tells apart; a fan then has 4 MiB.
pub(super) const BITS_MAX: u32 = 20;

const HEADER_LEN: usize = 32;
/// Most chunks of a content that are read at once: a file of 1 TiB in chunks of 256 KiB.
const CHUNKS_MAX: u32 = 4 << 20;

/// The table of a layer, open for reading.
#[derive(Debug)]
pub struct Table {
    file: File,
    path: PathBuf,
    contents: u32,
    chunks: u32,
    bits: u32,
    len: u64,
    fan: Vec<u32>,
}

impl Table {
    /// Opens a table.
    ///
    /// # Errors
    /// [`Error::File`] when there is none, or it is not one.
    pub fn open(path: &Path) -> Result<Self, Error> {
        File::open(path).and_then(|file| Self::read(file, path)).map_err(at_path("read", path))
    }

    fn read(file: File, path: &Path) -> io::Result<Self> {
        let mut header = [0; HEADER_LEN];
        file.read_exact_at(&mut header, 0)?;
        let rest = header.strip_prefix(MAGIC).ok_or_else(no_table)?;
        let mut fields = Fields(rest);
        let [contents, chunks, bits, _] = [(); 4].map(|()| u32::from_le_bytes(fields.take()));
        let len = u64::from_le_bytes(fields.take());
        if bits > BITS_MAX {
            return Err(no_table());
        }
        let mut fan = vec![0; ((1_usize << bits) + 1) * 4];
        file.read_exact_at(&mut fan, HEADER_LEN as u64)?;
        let fan = fan.as_chunks::<4>().0.iter().map(|count| u32::from_le_bytes(*count)).collect();
        let table = Self { file, path: path.to_owned(), contents, chunks, bits, len, fan };
        let is_whole = table.file.metadata()?.len() == table.chunk_at(chunks);
        let is_ascending = table.fan.is_sorted() && table.fan.last() == Some(&contents);
        if is_whole && is_ascending { Ok(table) } else { Err(no_table()) }
    }

    /// Counts the contents, each once.
    pub fn content_count(&self) -> u32 {
        self.contents
    }

    /// Counts the chunks.
    pub fn chunk_count(&self) -> u32 {
        self.chunks
    }

    /// Counts the bytes of all contents.
    pub fn content_len(&self) -> u64 {
        self.len
    }

    /// Finds the row of a content.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn find(&self, digest: &ContentDigest) -> Result<Option<u32>, Error> {
        let first = first_bits(digest, self.bits) as usize;
        let (Some(&start), Some(&end)) = (self.fan.get(first), self.fan.get(first.saturating_add(1))) else {
            return Ok(None);
        };
        let mut rows = vec![0; (end.saturating_sub(start) as usize).saturating_mul(CONTENT_LEN)];
        self.file.read_exact_at(&mut rows, self.content_at(start)).map_err(self.failed())?;
        let rows = rows.as_chunks::<CONTENT_LEN>().0;
        let found = rows.binary_search_by(|row| row.get(..32).unwrap_or_default().cmp(&digest.0)).ok();
        Ok(found.and_then(|at| u32::try_from(at).ok()).map(|at| start.saturating_add(at)))
    }

    /// Returns the content in a row; `None` when there is no such row.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn content(&self, row: u32) -> Result<Option<ContentRow>, Error> {
        Ok(self.contents(row, 1)?.first().copied())
    }

    /// Returns up to `count` contents from a row on.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn contents(&self, row: u32, count: u32) -> Result<Vec<ContentRow>, Error> {
        let count = count.min(self.contents.saturating_sub(row));
        let mut rows = vec![0; (count as usize).saturating_mul(CONTENT_LEN)];
        self.file.read_exact_at(&mut rows, self.content_at(row)).map_err(self.failed())?;
        Ok(rows.as_chunks().0.iter().map(ContentRow::decode).collect())
    }

    /// Returns up to `count` chunks, in the order of the blob, from a place on.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn chunks(&self, place: u32, count: u32) -> Result<Vec<ChunkRow>, Error> {
        let count = count.min(self.chunks.saturating_sub(place));
        let mut rows = vec![0; (count as usize).saturating_mul(CHUNK_LEN)];
        self.file.read_exact_at(&mut rows, self.chunk_at(place)).map_err(self.failed())?;
        let rows = rows.as_chunks().0.iter().map(ChunkRow::decode).collect::<Option<_>>();
        rows.ok_or_else(|| self.failed()(no_table()))
    }

    /// Returns the chunks of a content.
    ///
    /// # Errors
    /// Those of the file system; a table whose chunks do not cover the content is an error as well.
    pub fn chunks_of(&self, content: &ContentRow) -> Result<Vec<Chunk>, Error> {
        if content.chunk_count > CHUNKS_MAX {
            return Err(self.failed()(no_table()));
        }
        let rows = self.chunks(content.first_chunk, content.chunk_count)?;
        let chunks: Vec<_> = rows.into_iter().map(|row| row.chunk).collect();
        let mut end = 0;
        let is_in_a_row = chunks.iter().all(|chunk| {
            let follows = chunk.file.start() == end;
            end = chunk.file.end();
            follows
        });
        match is_in_a_row && end == content.len {
            true => Ok(chunks),
            false => Err(self.failed()(no_table())),
        }
    }

    fn content_at(&self, row: u32) -> u64 {
        let fan_len = (self.fan.len() as u64).saturating_mul(4);
        let rows = u64::from(row).saturating_mul(CONTENT_LEN as u64);
        (HEADER_LEN as u64).saturating_add(fan_len).saturating_add(rows)
    }

    fn chunk_at(&self, place: u32) -> u64 {
        self.content_at(self.contents).saturating_add(u64::from(place).saturating_mul(CHUNK_LEN as u64))
    }

    fn failed<'a>(&'a self) -> impl FnOnce(io::Error) -> Error + use<'a> {
        at_path("read", &self.path)
    }
}

/// Returns the first `bits` bits of a digest as a number.
pub(super) fn first_bits(digest: &ContentDigest, bits: u32) -> u64 {
    let first = digest.0.first_chunk().copied().unwrap_or_default();
    u64::from_be_bytes(first).checked_shr(u64::BITS - bits).unwrap_or(0)
}

fn no_table() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is not the table of a layer")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use chunked::{BlobRange, ChunkKind, Content, Entry, EntryKind, FileRange};

    use super::*;
    use crate::contents::Builder;

    /// A file of two chunks.
    fn entry(index: u64) -> Entry {
        let chunk = |part: u64| Chunk {
            file: FileRange::with_len(part * 10, 10).unwrap(),
            blob: BlobRange::with_len(index * 8 + part * 4, 4).unwrap(),
            inner_offset: 0,
            digest: Some(ContentDigest::of(&[part as u8])),
            kind: ChunkKind::Data,
        };
        let mut entry = Entry::new(EntryKind::Regular, index.to_string());
        entry.size = 20;
        entry.content = Some(Content {
            digest: Some(ContentDigest::of(&index.to_le_bytes())),
            range: BlobRange::with_len(index * 8, 8).unwrap(),
            chunks: vec![chunk(0), chunk(1)],
        });
        entry
    }

    #[test]
    fn every_content_is_found_with_its_chunks() {
        let dir = tempfile::tempdir().unwrap();
        for count in [0, 1, 15, 16, 1000] {
            let path = dir.path().join(count.to_string());
            let mut builder = Builder::default();
            (0..count).chain(0..count).for_each(|index| builder.add(&entry(index)));
            builder.write(File::create(&path).unwrap()).unwrap();
            let table = Table::open(&path).unwrap();
            assert_eq!((u64::from(table.content_count()), table.content_len()), (count, count * 20));
            for index in 0..count {
                let digest = ContentDigest::of(&index.to_le_bytes());
                let row = table.find(&digest).unwrap().unwrap();
                let content = table.content(row).unwrap().unwrap();
                assert_eq!((content.digest, content.len), (digest, 20));
                assert_eq!(table.chunks_of(&content).unwrap(), entry(index).content.unwrap().chunks);
                let first = table.chunks(content.first_chunk, 1).unwrap()[0];
                assert_eq!(first.content, row);
            }
            assert_eq!(table.find(&ContentDigest::of(b"another")).unwrap(), None);
        }
    }

    #[test]
    fn what_is_no_table_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("table");
        let mut builder = Builder::default();
        (0..100).for_each(|index| builder.add(&entry(index)));
        builder.write(File::create(&path).unwrap()).unwrap();
        let whole = fs::read(&path).unwrap();
        let damaged = |at: usize| {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            bytes
        };
        let tables =
            [whole[..whole.len() - 1].to_vec(), whole[..10].to_vec(), damaged(0), damaged(8), damaged(16)];
        for bytes in tables {
            fs::write(&path, bytes).unwrap();
            assert!(Table::open(&path).is_err());
        }
    }
}
