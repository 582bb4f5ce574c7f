//! A run: rows sorted by key and owner in one file, with buckets that lead to the row of a key at once.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | magic and version |
//! | 4 | number of buckets |
//! | 4 | number of rows |
//! | 4 | number of objects |
//! | | zeros up to byte 64 |
//! | 16 each | the buckets: each has an equal part of all keys |
//! | | zeros up to a multiple of 64, or of 2 MiB if the buckets have more than that |
//! | 32 each | the rows: 16 bytes of key and owner as one number, 4 of the number of a file, 6 of offset and 6 of length |
//! | 32 each | the digests of the objects that rows point to |
//!
//! Numbers are little-endian. A search reads the bucket of a key, which is all for most keys that are not here. The rows
//! of a bucket follow one another, and its marks tell which it is, so one more line of memory is read for a key that is
//! here, whatever the number of rows. The rows begin where a large page of memory does, and are written in large pieces,
//! so that file systems keep them in large pages, whose addresses processors find sooner.

use std::cmp::Ordering;
use std::fs::File;
use std::hint::black_box;

use chunked::ContentDigest;
use memmap2::Mmap;

use super::bucket::Bucket;
use super::row::{self, Order, Row};
use super::shape::{OBJECT_LEN, Shape, Starts};
use super::sys;

/// A run in memory as it is on disk.
#[derive(Debug)]
pub(super) struct Run {
    bytes: Mmap,
    shape: Shape,
    starts: Starts,
}

/// A run that cannot be used: it is truncated, damaged, or not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unusable;

impl Run {
    /// Maps a run, and checks its header. Buckets and rows may still be wrong; then they lead to a wrong place, or to none.
    pub(super) fn open(file: &File) -> Result<Self, Unusable> {
        let bytes = sys::map(file).map_err(|_| Unusable)?;
        let shape = Shape::parse(&bytes).ok_or(Unusable)?;
        let starts = shape.starts();
        if starts.end == bytes.len() { Ok(Self { bytes, shape, starts }) } else { Err(Unusable) }
    }

    /// Counts the rows.
    pub(super) fn rows_count(&self) -> u32 {
        self.shape.rows
    }

    /// Returns the digests of the objects that rows point to, one after another.
    pub(super) fn objects(&self) -> &[u8] {
        self.bytes.get(self.starts.objects..).unwrap_or_default()
    }

    /// Counts the objects.
    pub(super) fn objects_count(&self) -> u32 {
        self.shape.objects
    }

    /// Returns the digest of an object by its number.
    #[inline]
    pub(super) fn object(&self, number: u32) -> Option<ContentDigest> {
        self.at::<OBJECT_LEN>(self.starts.objects, number).copied().map(ContentDigest)
    }

    /// Begins to bring the bucket of a row near.
    pub(super) fn touch_bucket(&self, wanted: Order) {
        black_box(self.bucket(self.shape.bucket_of(wanted)));
    }

    /// Begins to bring the digest of a row's object near.
    pub(super) fn touch_object(&self, row: u32) {
        black_box(self.row(row).and_then(|row| self.object(row.file)));
    }

    /// Finds the number of a row.
    ///
    /// It is inlined, as the fewer instructions a lookup takes, the more of them a processor has under way.
    #[inline(always)]
    pub(super) fn find(&self, wanted: Order) -> Option<u32> {
        let place = self.shape.bucket_of(wanted);
        let bucket = self.bucket(place)?;
        let is_it = |number: &u32| self.order(*number) == Some(wanted);
        let unmarked = || self.search(bucket.unmarked()?, self.end(place)?, wanted);
        bucket.marked(wanted.mark()).find(is_it).or_else(unmarked)
    }

    /// Finds the number of a row among those that have no mark.
    #[cold]
    fn search(&self, mut start: u32, mut end: u32, wanted: Order) -> Option<u32> {
        while start < end {
            let middle = start + (end - start) / 2;
            match self.order(middle)?.cmp(&wanted) {
                Ordering::Equal => return Some(middle),
                Ordering::Less => start = middle + 1,
                Ordering::Greater => end = middle,
            }
        }
        None
    }

    #[inline]
    fn bucket(&self, number: u32) -> Option<Bucket> {
        self.at(self.starts.buckets, number).map(Bucket::decode)
    }

    /// Returns the number of the row after those of a bucket.
    fn end(&self, bucket: u32) -> Option<u32> {
        let next = bucket.checked_add(1)?;
        if next < self.shape.buckets { Some(self.bucket(next)?.first()) } else { Some(self.shape.rows) }
    }

    /// Reads what a row is sorted by.
    #[inline]
    fn order(&self, number: u32) -> Option<Order> {
        self.row_bytes(number).map(Order::read)
    }

    /// Reads a row by its number; `None` when there is none, or it is damaged.
    #[inline]
    pub(super) fn row(&self, number: u32) -> Option<Row> {
        Row::decode(self.row_bytes(number)?)
    }

    #[inline]
    fn row_bytes(&self, number: u32) -> Option<&[u8; row::LEN]> {
        self.at(self.starts.rows, number)
    }

    /// Returns one of several things of a length, the first of which is at `start`.
    #[inline]
    fn at<const LEN: usize>(&self, start: usize, number: u32) -> Option<&[u8; LEN]> {
        self.bytes.get(start..)?.as_chunks().0.get(number as usize)
    }

    /// Reads the rows in order, up to one that is damaged.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row> {
        (0..self.rows_count()).map_while(|number| self.row(number))
    }

    /// Tells whether all rows are readable, in order, and found.
    pub(super) fn is_sound(&self) -> bool {
        let mut last = None;
        (0..self.rows_count()).all(|number| {
            let Some(row) = self.row(number) else { return false };
            let before = last.replace(row.order);
            before < last && self.find(row.order) == Some(number)
        })
    }
}
