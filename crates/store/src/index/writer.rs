//! Writing a run.

use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use super::bucket::{self, Bucket};
use super::row::{self, Order, Row};
use super::shape::{OBJECT_LEN, Shape};
use crate::staged::Staged;

/// Bytes that are written at once. File systems keep what comes in writes of many large pages in such pages.
const BUFFER_LEN_MIN: usize = 8 << 10;
const BUFFER_LEN_MAX: usize = 16 << 20;

/// Writes a run.
#[derive(Debug)]
pub(super) struct Writer {
    out: BufWriter<Staged>,
    shape: Shape,
    /// The buckets before the one of the last rows, as they are on disk.
    buckets: Vec<u8>,
    /// The number of the bucket of the last rows.
    bucket: u32,
    /// The marks of its rows.
    marks: Vec<u8>,
    last: Option<Order>,
}

impl Writer {
    /// Starts a run of at most `rows` rows.
    pub(super) fn new(staged: Staged, rows: u32) -> io::Result<Self> {
        let shape = Shape::for_rows(rows);
        let mut file = staged.file();
        file.seek(SeekFrom::Start(shape.starts().rows as u64))?;
        let buffer = (rows as usize).saturating_mul(row::LEN).clamp(BUFFER_LEN_MIN, BUFFER_LEN_MAX);
        let out = BufWriter::with_capacity(buffer, staged);
        Ok(Self { out, shape, buckets: Vec::new(), bucket: 0, marks: Vec::new(), last: None })
    }

    /// Adds a row. They come in order; one with key and owner of the last is left out.
    pub(super) fn push(&mut self, row: &Row) -> io::Result<()> {
        if self.last >= Some(row.order) {
            return Ok(());
        }
        self.last = Some(row.order);
        if self.shape.rows == bucket::RUN_ROWS_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.go_to(self.shape.bucket_of(row.order));
        self.marks.push(row.order.mark());
        self.shape.rows += 1;
        self.out.write_all(&row.encode())
    }

    /// Leaves the buckets before the one of that number behind.
    fn go_to(&mut self, number: u32) {
        while self.bucket < number {
            let first = self.shape.rows.saturating_sub(self.marks.len() as u32);
            self.buckets.extend(Bucket::new(first, &self.marks).encode());
            self.marks.clear();
            self.bucket += 1;
        }
    }

    /// Adds the objects that rows point to, several lists one after another, and the buckets; returns the file.
    pub(super) fn finish(mut self, objects: &[&[u8]]) -> io::Result<Staged> {
        // In pieces, so that the buffer is full when it is written, and no list past it.
        let mut pieces = objects.iter().flat_map(|list| list.chunks(BUFFER_LEN_MIN));
        pieces.try_for_each(|piece| self.out.write_all(piece))?;
        let count: usize = objects.iter().map(|list| list.len() / OBJECT_LEN).sum();
        self.shape.objects = u32::try_from(count).map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.go_to(self.shape.buckets);
        let staged = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        staged.file().write_all_at(&self.shape.header(), 0)?;
        staged.file().write_all_at(&self.buckets, self.shape.starts().buckets as u64)?;
        Ok(staged)
    }
}
