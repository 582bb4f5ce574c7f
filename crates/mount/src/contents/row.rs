//! Rows of a table as bytes.

use chunked::{BlobRange, Chunk, ChunkKind, ContentDigest, FileRange};

/// Bytes of the row of a content.
pub(super) const CONTENT_LEN: usize = 48;
/// Bytes of the row of a chunk.
pub(super) const CHUNK_LEN: usize = 72;

const HOLE: u32 = 1;
const HAS_DIGEST: u32 = 2;
const STARTS_DIRECTORY: u32 = 4;

/// A content of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRow {
    /// Its digest.
    pub digest: ContentDigest,
    /// Bytes of it.
    pub len: u64,
    /// Its first chunk, by its place among all chunks of the layer.
    pub first_chunk: u32,
    /// How many chunks it has.
    pub chunk_count: u32,
}

/// A chunk of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkRow {
    /// The chunk.
    pub chunk: Chunk,
    /// The content it belongs to, by its row.
    pub content: u32,
    /// Whether its content is in another directory than the one before it in the blob.
    pub starts_directory: bool,
}

impl ContentRow {
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.digest.0);
        bytes.extend(self.len.to_le_bytes());
        bytes.extend(self.first_chunk.to_le_bytes());
        bytes.extend(self.chunk_count.to_le_bytes());
    }

    pub(super) fn decode(row: &[u8; CONTENT_LEN]) -> Self {
        let mut fields = Fields(row);
        Self {
            digest: ContentDigest(fields.take()),
            len: u64::from_le_bytes(fields.take()),
            first_chunk: u32::from_le_bytes(fields.take()),
            chunk_count: u32::from_le_bytes(fields.take()),
        }
    }
}

impl ChunkRow {
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        let Chunk { file, blob, digest, kind, .. } = self.chunk;
        for offset in [file.start(), file.end(), blob.start(), blob.end()] {
            bytes.extend(offset.to_le_bytes());
        }
        bytes.extend(digest.map_or([0; 32], |digest| digest.0));
        bytes.extend(self.content.to_le_bytes());
        let hole = if kind == ChunkKind::Zeros { HOLE } else { 0 };
        let has_digest = if digest.is_some() { HAS_DIGEST } else { 0 };
        let starts_directory = if self.starts_directory { STARTS_DIRECTORY } else { 0 };
        bytes.extend((hole | has_digest | starts_directory).to_le_bytes());
    }

    /// Reads a row; `None` when a range ends before it starts.
    pub(super) fn decode(row: &[u8; CHUNK_LEN]) -> Option<Self> {
        let mut fields = Fields(row);
        let mut offset = || u64::from_le_bytes(fields.take());
        let (file, blob) = ((offset(), offset()), (offset(), offset()));
        let digest = ContentDigest(fields.take());
        let content = u32::from_le_bytes(fields.take());
        let flags = u32::from_le_bytes(fields.take());
        let chunk = Chunk {
            file: FileRange::new(file.0, file.1)?,
            blob: BlobRange::new(blob.0, blob.1)?,
            inner_offset: 0,
            digest: (flags & HAS_DIGEST != 0).then_some(digest),
            kind: if flags & HOLE != 0 { ChunkKind::Zeros } else { ChunkKind::Data },
        };
        Some(Self { chunk, content, starts_directory: flags & STARTS_DIRECTORY != 0 })
    }
}

/// Fields of fixed length, one after another; zeros beyond the end.
#[derive(Debug)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    pub(super) fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_at_checked(N).unwrap_or_default();
        self.0 = rest;
        field.try_into().unwrap_or([0; N])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back() {
        let content = ContentRow {
            digest: ContentDigest::of(b"content"),
            len: u64::MAX,
            first_chunk: 7,
            chunk_count: u32::MAX,
        };
        let mut bytes = Vec::new();
        content.encode(&mut bytes);
        assert_eq!(ContentRow::decode(&bytes.try_into().unwrap()), content);
        for (digest, kind) in [(None, ChunkKind::Zeros), (Some(content.digest), ChunkKind::Data)] {
            let starts_directory = digest.is_some();
            let chunk = Chunk {
                file: FileRange::new(1, 2).unwrap(),
                blob: BlobRange::new(3, u64::MAX).unwrap(),
                inner_offset: 0,
                digest,
                kind,
            };
            let (row, mut bytes) = (ChunkRow { chunk, content: 9, starts_directory }, Vec::new());
            row.encode(&mut bytes);
            assert_eq!(ChunkRow::decode(&bytes.try_into().unwrap()), Some(row));
        }
        let mut backwards = [0; CHUNK_LEN];
        backwards[0] = 1;
        assert_eq!(ChunkRow::decode(&backwards), None);
    }
}
