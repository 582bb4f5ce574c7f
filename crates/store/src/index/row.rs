//! A row of the dedup index: a content, and where its bytes are.

use std::num::NonZeroU32;

use chunked::{ContentDigest, FileRange};

/// Bytes of a row on disk.
pub(super) const LEN: usize = KEY_LEN + 4 + 4 + 6 + 6;

/// Bytes of a key. Not all of a digest is needed, as what is found is hashed.
const KEY_LEN: usize = 12;

/// The start of a digest.
pub(super) type Key = [u8; KEY_LEN];

/// Which list of files a row points into: the objects that are named in the row's run, or the files of a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Owner {
    Objects,
    Seed(SeedNumber),
}

impl Owner {
    /// Returns what stands for it on disk.
    fn number(self) -> u32 {
        match self {
            Self::Objects => 0,
            Self::Seed(seed) => seed.get(),
        }
    }
}

/// The number of a seed in the index. None has two, and none is used again while there are rows with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeedNumber(NonZeroU32);

impl SeedNumber {
    /// Takes a number other than 0.
    pub(crate) fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// The number of the first seed.
    pub(crate) const FIRST: Self = Self(NonZeroU32::MIN);

    /// Returns the next number.
    pub(crate) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Returns the number.
    pub(crate) fn get(self) -> u32 {
        self.0.get()
    }
}

/// What rows are sorted by: key and owner as one number. There is one row for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Order(u128);

impl Order {
    /// Bytes at the start of a row that tell it.
    const LEN: usize = KEY_LEN + 4;

    pub(super) fn of(key: Key, owner: Owner) -> Self {
        let mut bytes = [0; Self::LEN];
        let fields = key.into_iter().chain(owner.number().to_be_bytes());
        bytes.iter_mut().zip(fields).for_each(|(byte, field)| *byte = field);
        Self(u128::from_be_bytes(bytes))
    }

    /// Reads it off the bytes of a row.
    pub(super) fn read(row: &[u8; LEN]) -> Self {
        let start = row.first_chunk::<{ Self::LEN }>().copied().unwrap_or_default();
        let number = u128::from_be_bytes(start);
        // Owners are little-endian.
        let owner = (number as u32).swap_bytes();
        Self(((number >> u32::BITS) << u32::BITS) | u128::from(owner))
    }
}

/// A content, and where its bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    pub(super) key: Key,
    pub(super) owner: Owner,
    /// Place in the owner's list of files.
    pub(super) file: u32,
    pub(super) range: FileRange,
}

impl Row {
    /// Says where a content is; `None` for a place beyond what a row can name, 256 TiB.
    pub(super) fn new(content: &ContentDigest, owner: Owner, file: u32, range: FileRange) -> Option<Self> {
        (range.end() < 1 << 48).then_some(Self { key: key(content), owner, file, range })
    }

    pub(super) fn order(&self) -> Order {
        Order::of(self.key, self.owner)
    }

    pub(super) fn encode(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        let fields: [&[u8]; 5] = [
            &self.key,
            &self.owner.number().to_le_bytes(),
            &self.file.to_le_bytes(),
            &narrow(self.range.start()),
            &narrow(self.range.len()),
        ];
        for (byte, value) in bytes.iter_mut().zip(fields.into_iter().flatten()) {
            *byte = *value;
        }
        bytes
    }

    /// Reads a row; `None` when it names a range that cannot be.
    pub(super) fn decode(bytes: &[u8; LEN]) -> Option<Self> {
        let (key, rest) = bytes.split_first_chunk()?;
        let (owner, rest) = rest.split_first_chunk()?;
        let (file, rest) = rest.split_first_chunk()?;
        let (start, rest) = rest.split_first_chunk()?;
        let range = FileRange::with_len(widen(start), widen(rest.first_chunk()?))?;
        let owner = SeedNumber::new(u32::from_le_bytes(*owner)).map_or(Owner::Objects, Owner::Seed);
        Some(Self { key: *key, owner, file: u32::from_le_bytes(*file), range })
    }
}

/// Returns the key of a content.
pub(super) fn key(content: &ContentDigest) -> Key {
    content.0.first_chunk().copied().unwrap_or_default()
}

fn narrow(number: u64) -> [u8; 6] {
    number.to_le_bytes().first_chunk().copied().unwrap_or_default()
}

fn widen(bytes: &[u8; 6]) -> u64 {
    let [a, b, c, d, e, f] = *bytes;
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}
