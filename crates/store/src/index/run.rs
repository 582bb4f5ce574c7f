//! A run: rows sorted by key and owner in one file, with a table that leads near a key at once.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | magic and version |
//! | 4 | `bits`: how many leading bits of a key the table is indexed by |
//! | 4 | `filter_bits`: how many bits of a key the filter is indexed by; at least 9 |
//! | 4 | number of rows |
//! | 4 | number of objects |
//! | 4 * (2^bits + 1) | for each value of those bits, how many rows come before; at the end, all |
//! | | zeros up to a multiple of 64 |
//! | 2^filter_bits / 8 | a bit for each value of so many leading bits of a key: whether there is one |
//! | 32 each | the rows |
//! | 32 each | the digests of the objects that rows point to |
//!
//! Numbers are little-endian. Digests are random, so the bits that follow those of the table tell where among the rows of
//! an entry a key is, to a few rows. A search reads the table, which is small enough to stay in the cache of the
//! processor, and then one or two lines of memory, whatever the number of rows. No row is in two lines. The filter says of
//! most keys that they are not here; where there are several runs, that is all that is read of all but one.

use std::cmp::Ordering;
use std::fs::File;
use std::hint::black_box;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use chunked::ContentDigest;
use memmap2::Mmap;

use super::row::{self, Key, Order, Owner, Row};
use super::sys;
use crate::staged::Staged;

const MAGIC: &[u8; 8] = b"morseli\x04";
const HEADER_LEN: usize = 24;
/// Bytes of the digest of an object.
const OBJECT_LEN: usize = 32;
/// Bytes of an entry of the table.
const COUNT_LEN: usize = 4;
/// Bytes that are written at once. File systems keep what comes in long writes in large pages, so that lookups wait less.
const BUFFER_LEN_MIN: usize = 8 << 10;
const BUFFER_LEN_MAX: usize = 16 << 20;
/// Bytes of a line of memory.
const LINE_LEN: usize = 64;
/// Most leading bits: a table of 8 MiB.
const BITS_MAX: u32 = 21;
/// Rows that share an entry of the table, at most: so few that the expected place is a few rows off, and so many that the
/// table of ten million rows, of 4 MiB, stays in the caches of the processor.
const ROWS_PER_ENTRY: u32 = 16;
/// Fewest and most bits that the filter is indexed by: one line of memory, and 256 MiB.
const FILTER_BITS_MIN: u32 = 9;
const FILTER_BITS_MAX: u32 = 31;
/// Bits of the filter for a row, at least, so that it takes one key in eight at most for one that is here.
const FILTER_BITS_PER_ROW: u64 = 8;
/// Rows next to the expected one that are looked at one by one. With random keys, few are further away.
const NEAR: u32 = 12;

/// A run in memory as it is on disk.
#[derive(Debug)]
pub(super) struct Run {
    bytes: Mmap,
    shape: Shape,
}

/// A run that cannot be used: it is truncated, damaged, or not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unusable;

/// Where things are in a run.
#[derive(Debug, Clone, Copy)]
struct Shape {
    bits: u32,
    filter_bits: u32,
    rows: u32,
    objects: u32,
}

impl Shape {
    /// Plans a run of at most that many rows.
    fn for_rows(rows: u32) -> Self {
        let bits = (rows / ROWS_PER_ENTRY).checked_ilog2().map_or(0, |log| log + 1);
        let filter_bits = (u64::from(rows) * FILTER_BITS_PER_ROW).next_power_of_two().ilog2();
        let filter_bits = filter_bits.clamp(FILTER_BITS_MIN, FILTER_BITS_MAX);
        Self { bits: bits.min(BITS_MAX), filter_bits, rows, objects: 0 }
    }

    fn parse(header: &[u8]) -> Option<Self> {
        let (magic, rest) = header.split_first_chunk()?;
        let (bits, rest) = rest.split_first_chunk()?;
        let (filter_bits, rest) = rest.split_first_chunk()?;
        let (rows, rest) = rest.split_first_chunk()?;
        let number = u32::from_le_bytes;
        let shape = Self {
            bits: number(*bits),
            filter_bits: number(*filter_bits),
            rows: number(*rows),
            objects: number(*rest.first_chunk()?),
        };
        let is_known = magic == MAGIC && shape.bits <= BITS_MAX;
        (is_known && (FILTER_BITS_MIN..=FILTER_BITS_MAX).contains(&shape.filter_bits)).then_some(shape)
    }

    fn entries(self) -> usize {
        1 << self.bits
    }

    fn filter_start(self) -> usize {
        (HEADER_LEN + COUNT_LEN * (self.entries() + 1)).next_multiple_of(LINE_LEN)
    }

    fn filter_len(self) -> usize {
        1 << (self.filter_bits - u8::BITS.ilog2())
    }

    fn rows_start(self) -> usize {
        self.filter_start() + self.filter_len()
    }

    /// Returns the byte of the filter that a key belongs to, and the bit in it.
    fn filter_of(self, key: &Key) -> (usize, u8) {
        let leading = key.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        let bits = leading >> (u32::BITS - self.filter_bits);
        (bits as usize / u8::BITS as usize, 1 << (bits % u8::BITS))
    }

    fn objects_start(self) -> usize {
        self.rows_start().saturating_add((self.rows as usize).saturating_mul(row::LEN))
    }

    fn len(self) -> usize {
        self.objects_start().saturating_add((self.objects as usize).saturating_mul(OBJECT_LEN))
    }

    /// Returns the entry of the table that a key belongs to.
    fn entry_of(self, key: &Key) -> usize {
        self.split(key).0
    }

    /// Returns the entry of the table that a key belongs to, and how far into it: of 2^32.
    fn split(self, key: &Key) -> (usize, u32) {
        let leading = key.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let entry = leading.checked_shr(u64::BITS - self.bits).unwrap_or(0);
        (entry as usize, ((leading << self.bits) >> u32::BITS) as u32)
    }
}

/// The rows among which one is, if it is anywhere.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
    /// Where it is expected.
    at: u32,
}

impl Run {
    /// Maps a run, and checks its header and its table. Rows may still be wrong; then they lead to a wrong place.
    pub(super) fn open(file: &File) -> Result<Self, Unusable> {
        let bytes = sys::map(file).map_err(|_| Unusable)?;
        let shape = Shape::parse(&bytes).ok_or(Unusable)?;
        let run = Self { bytes, shape };
        let is_whole = shape.len() == run.bytes.len();
        if is_whole && run.table_is_right() { Ok(run) } else { Err(Unusable) }
    }

    /// Counts the rows.
    pub(super) fn rows_count(&self) -> u32 {
        self.shape.rows
    }

    /// Returns the digests of the objects that rows point to, one after another.
    pub(super) fn objects(&self) -> &[u8] {
        self.bytes.get(self.shape.objects_start()..).unwrap_or_default()
    }

    /// Counts the objects.
    pub(super) fn objects_count(&self) -> u32 {
        self.shape.objects
    }

    /// Returns the digest of an object by its number.
    pub(super) fn object(&self, number: u32) -> Option<ContentDigest> {
        let start = (number as usize).checked_mul(OBJECT_LEN)?;
        self.objects().get(start..)?.first_chunk().map(|digest| ContentDigest(*digest))
    }

    /// Tells whether there may be rows of a key; most often `false` if there are none.
    pub(super) fn may_have(&self, key: &Key) -> bool {
        let (byte, bit) = self.shape.filter_of(key);
        let filter = self.bytes.get(self.shape.filter_start()..).unwrap_or_default();
        filter.get(byte).is_some_and(|bits| bits & bit != 0)
    }

    /// Begins to bring the memory near that a search for a key reads.
    pub(super) fn touch(&self, key: &Key) {
        black_box(self.span(key).and_then(|span| self.bytes_of(span.at)?.first().copied()));
    }

    /// Finds the row of a key and an owner.
    pub(super) fn find(&self, key: Key, owner: Owner) -> Option<Row> {
        let Span { mut start, mut end, mut at } = self.span(&key)?;
        let wanted = Order::of(key, owner);
        let mut near = NEAR;
        while start < end {
            let next = match self.order(at)?.cmp(&wanted) {
                Ordering::Equal => return self.row(at),
                Ordering::Less => {
                    start = at + 1;
                    start
                }
                Ordering::Greater => {
                    end = at;
                    at.saturating_sub(1)
                }
            };
            // Keys that are not random are found as well, if not so soon.
            at = if near > 0 { next } else { start + (end - start) / 2 };
            near = near.saturating_sub(1);
        }
        None
    }

    /// Returns where the rows of a key are.
    fn span(&self, key: &Key) -> Option<Span> {
        let (entry, fraction) = self.shape.split(key);
        let (start, end) = (self.count(entry)?, self.count(entry + 1)?);
        let before = (u64::from(end.checked_sub(start)?) * u64::from(fraction)) >> u32::BITS;
        Some(Span { start, end, at: start + before as u32 })
    }

    /// Reads what a row is sorted by.
    fn order(&self, number: u32) -> Option<Order> {
        self.bytes_of(number).map(Order::read)
    }

    fn bytes_of(&self, number: u32) -> Option<&[u8; row::LEN]> {
        let start = self.shape.rows_start().checked_add((number as usize).checked_mul(row::LEN)?)?;
        self.bytes.get(start..)?.first_chunk()
    }

    /// Reads a row by its number; `None` when there is none, or it is damaged.
    pub(super) fn row(&self, number: u32) -> Option<Row> {
        Row::decode(self.bytes_of(number)?)
    }

    /// Reads the rows in order, up to one that is damaged.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row> {
        (0..self.rows_count()).map_while(|number| self.row(number))
    }

    /// Tells whether all rows are readable, in order, and in the filter.
    pub(super) fn is_sorted(&self) -> bool {
        let mut rows = (0..self.rows_count()).map(|number| self.row(number));
        let mut last = None;
        rows.all(|row| {
            let before = std::mem::replace(&mut last, row.map(|row| row.order()));
            last.is_some() && before < last && row.is_some_and(|row| self.may_have(&row.key))
        })
    }

    fn count(&self, entry: usize) -> Option<u32> {
        let start = HEADER_LEN + COUNT_LEN * entry;
        Some(u32::from_le_bytes(*self.bytes.get(start..)?.first_chunk()?))
    }

    fn table_is_right(&self) -> bool {
        let counts = || (0..=self.shape.entries()).map(|entry| self.count(entry));
        counts().is_sorted() && counts().next_back() == Some(Some(self.shape.rows))
    }
}

/// Writes a run.
#[derive(Debug)]
pub(super) struct Writer {
    out: BufWriter<Staged>,
    shape: Shape,
    /// Rows of each entry of the table.
    counts: Vec<u32>,
    filter: Vec<u8>,
    last: Option<Order>,
}

impl Writer {
    /// Starts a run of at most `rows` rows.
    pub(super) fn new(staged: Staged, rows: u32) -> io::Result<Self> {
        let shape = Shape { rows: 0, ..Shape::for_rows(rows) };
        let mut file = staged.file();
        file.seek(SeekFrom::Start(shape.rows_start() as u64))?;
        let (counts, filter) = (vec![0; shape.entries()], vec![0; shape.filter_len()]);
        let buffer = (rows as usize).saturating_mul(row::LEN).clamp(BUFFER_LEN_MIN, BUFFER_LEN_MAX);
        Ok(Self { out: BufWriter::with_capacity(buffer, staged), shape, counts, filter, last: None })
    }

    /// Adds a row. They come in order; one with key and owner of the last is left out.
    pub(super) fn push(&mut self, row: &Row) -> io::Result<()> {
        if self.last >= Some(row.order()) {
            return Ok(());
        }
        self.last = Some(row.order());
        self.shape.rows = self.shape.rows.checked_add(1).ok_or(io::ErrorKind::FileTooLarge)?;
        if let Some(count) = self.counts.get_mut(self.shape.entry_of(&row.key)) {
            *count += 1;
        }
        let (byte, bit) = self.shape.filter_of(&row.key);
        if let Some(bits) = self.filter.get_mut(byte) {
            *bits |= bit;
        }
        self.out.write_all(&row.encode())
    }

    /// Adds the objects that rows point to, several lists one after another, and the table; returns the file.
    pub(super) fn finish(mut self, objects: &[&[u8]]) -> io::Result<Staged> {
        objects.iter().try_for_each(|list| self.out.write_all(list))?;
        let count: usize = objects.iter().map(|list| list.len() / OBJECT_LEN).sum();
        self.shape.objects = u32::try_from(count).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let staged = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        let mut head = MAGIC.to_vec();
        head.extend(self.shape.bits.to_le_bytes());
        head.extend(self.shape.filter_bits.to_le_bytes());
        head.extend(self.shape.rows.to_le_bytes());
        head.extend(self.shape.objects.to_le_bytes());
        let mut before = 0_u32;
        for count in self.counts {
            head.extend(before.to_le_bytes());
            before += count;
        }
        head.extend(before.to_le_bytes());
        staged.file().write_all_at(&head, 0)?;
        staged.file().write_all_at(&self.filter, self.shape.filter_start() as u64)?;
        Ok(staged)
    }
}
