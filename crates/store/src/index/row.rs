//! A row of the dedup index: a content, and where its bytes are.

use std::num::NonZeroU32;

use chunked::{ContentDigest, FileRange};

/// Bytes of a row on disk: what it is sorted by, then the number of a file, and offset and length of the range.
pub(super) const LEN: usize = 16 + 4 + 6 + 6;

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

    fn from_number(number: u32) -> Self {
        SeedNumber::new(number).map_or(Self::Objects, Self::Seed)
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

/// What rows are sorted by, and looked up by: the key of a content, which is the first 12 bytes of its digest, and the
/// owner, as one number. There is one row for each. Not all of a digest is needed, as what is found is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Order(u128);

impl Order {
    #[inline]
    pub(super) fn of(content: &ContentDigest, owner: Owner) -> Self {
        let start = content.0.first_chunk().map_or(0, |start| u128::from_be_bytes(*start));
        Self(((start >> u32::BITS) << u32::BITS) | u128::from(owner.number()))
    }

    pub(super) fn owner(self) -> Owner {
        Owner::from_number(self.0 as u32)
    }

    /// Returns the first 8 bytes of the key, as a number.
    #[inline]
    pub(super) fn leading(self) -> u64 {
        (self.0 >> u64::BITS) as u64
    }

    /// Returns the last byte of the key.
    #[inline]
    pub(super) fn mark(self) -> u8 {
        (self.0 >> u32::BITS) as u8
    }

    /// Reads it off the bytes of a row.
    #[inline]
    pub(super) fn read(row: &[u8; LEN]) -> Self {
        Self(row.first_chunk().map_or(0, |order| u128::from_le_bytes(*order)))
    }
}

/// A content, and where its bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    pub(super) order: Order,
    /// Place in the owner's list of files.
    pub(super) file: u32,
    pub(super) range: FileRange,
}

impl Row {
    /// Says where a content is; `None` for a place beyond what a row can name, 256 TiB.
    pub(super) fn new(content: &ContentDigest, owner: Owner, file: u32, range: FileRange) -> Option<Self> {
        (range.end() < 1 << 48).then_some(Self { order: Order::of(content, owner), file, range })
    }

    pub(super) fn owner(&self) -> Owner {
        self.order.owner()
    }

    pub(super) fn encode(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        let fields: [&[u8]; 4] = [
            &self.order.0.to_le_bytes(),
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
    #[inline]
    pub(super) fn decode(bytes: &[u8; LEN]) -> Option<Self> {
        let (order, rest) = bytes.split_first_chunk()?;
        let (file, rest) = rest.split_first_chunk()?;
        let (start, rest) = rest.split_first_chunk()?;
        let range = FileRange::with_len(widen(start), widen(rest.first_chunk()?))?;
        Some(Self { order: Order(u128::from_le_bytes(*order)), file: u32::from_le_bytes(*file), range })
    }
}

fn narrow(number: u64) -> [u8; 6] {
    number.to_le_bytes().first_chunk().copied().unwrap_or_default()
}

fn widen(bytes: &[u8; 6]) -> u64 {
    let [a, b, c, d, e, f] = *bytes;
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}
