//! Where things are in a run.

use super::bucket;
use super::row::{self, Order};

const MAGIC: &[u8; 8] = b"morseli\x05";
/// Bytes before the buckets: a line of memory.
const HEADER_LEN: usize = 64;
/// Bytes of a large page, which the rows begin with if the buckets have more.
const PAGE_LEN: usize = 2 << 20;
/// Bytes of a line of memory.
const LINE_LEN: usize = 64;
/// Bytes of the digest of an object.
pub(super) const OBJECT_LEN: usize = 32;

/// How many there are of each thing in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) buckets: u32,
    pub(super) rows: u32,
    pub(super) objects: u32,
}

/// Where they start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Starts {
    pub(super) buckets: usize,
    pub(super) rows: usize,
    pub(super) objects: usize,
    /// The end of the run.
    pub(super) end: usize,
}

impl Shape {
    /// Plans a run of at most that many rows.
    pub(super) fn for_rows(rows: u32) -> Self {
        Self { buckets: rows.div_ceil(bucket::ROWS).max(1), rows: 0, objects: 0 }
    }

    /// Reads the header of a run; `None` when it is not one.
    pub(super) fn parse(header: &[u8]) -> Option<Self> {
        let (buckets, rest) = header.strip_prefix(MAGIC)?.split_first_chunk()?;
        let (rows, rest) = rest.split_first_chunk()?;
        let (buckets, rows) = (u32::from_le_bytes(*buckets), u32::from_le_bytes(*rows));
        Some(Self { buckets, rows, objects: u32::from_le_bytes(*rest.first_chunk()?) })
    }

    /// Writes the header.
    pub(super) fn header(self) -> [u8; HEADER_LEN] {
        let mut header = [0; HEADER_LEN];
        let numbers = [self.buckets, self.rows, self.objects].map(u32::to_le_bytes);
        let fields = MAGIC.iter().chain(numbers.as_flattened());
        header.iter_mut().zip(fields).for_each(|(byte, field)| *byte = *field);
        header
    }

    /// Tells where things are; the sums stay far below 2^63.
    pub(super) fn starts(self) -> Starts {
        let after = |start: u64, count: u32, len: usize| start + u64::from(count) * len as u64;
        let buckets = HEADER_LEN as u64;
        let end = after(buckets, self.buckets, bucket::LEN);
        let unit = if end < PAGE_LEN as u64 { LINE_LEN } else { PAGE_LEN };
        let rows = end.next_multiple_of(unit as u64);
        let objects = after(rows, self.rows, row::LEN);
        let [buckets, rows, objects, end] =
            [buckets, rows, objects, after(objects, self.objects, OBJECT_LEN)]
                .map(|start| usize::try_from(start).unwrap_or(usize::MAX));
        Starts { buckets, rows, objects, end }
    }

    /// Returns the bucket that a row belongs to: each has an equal part of all keys.
    #[inline]
    pub(super) fn bucket_of(self, row: Order) -> u32 {
        ((u128::from(row.leading()) * u128::from(self.buckets)) >> u64::BITS) as u32
    }
}
