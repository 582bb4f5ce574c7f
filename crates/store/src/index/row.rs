//! A row of the dedup index: a chunk, and where its bytes are.

use chunked::{ContentDigest, FileRange};

use super::Place;

/// Bytes of a row on disk.
pub(super) const LEN: usize = KEY_LEN + 32 + 8 + 8;

/// Bytes of a key. Half a digest will do, as what is found is hashed.
pub(super) const KEY_LEN: usize = 16;

/// The start of a chunk's digest.
pub(super) type Key = [u8; KEY_LEN];

/// A chunk, and where its bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    pub(super) key: Key,
    pub(super) place: Place,
}

impl Row {
    pub(super) fn new(chunk: &ContentDigest, place: Place) -> Self {
        Self { key: key(chunk), place }
    }

    pub(super) fn encode(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        let fields = [
            self.key.as_slice(),
            &self.place.object.0,
            &self.place.range.start().to_le_bytes(),
            &self.place.range.end().to_le_bytes(),
        ];
        for (byte, value) in bytes.iter_mut().zip(fields.into_iter().flatten()) {
            *byte = *value;
        }
        bytes
    }

    /// Reads a row; `None` when it names a range that cannot be.
    pub(super) fn decode(bytes: &[u8; LEN]) -> Option<Self> {
        let (key, rest) = bytes.split_first_chunk()?;
        let (object, rest) = rest.split_first_chunk()?;
        let (start, rest) = rest.split_first_chunk()?;
        let end = rest.first_chunk()?;
        let range = FileRange::new(u64::from_le_bytes(*start), u64::from_le_bytes(*end))?;
        Some(Self { key: *key, place: Place { object: ContentDigest(*object), range } })
    }
}

/// Returns the key of a chunk.
pub(super) fn key(chunk: &ContentDigest) -> Key {
    chunk.0.first_chunk().copied().unwrap_or_default()
}
