//! What comes along with something that is missing.
//!
//! Who opens a file of moderate length will read most of it, and who reads a file of a directory will read others of it, which
//! lie next to it in the blob. Of the 700 chunks that a Python program reads that imports numpy, what is chosen here leaves 140
//! to be waited for, for a quarter more bytes; the starts of a compiler, node and git are alike.

use std::ops::Range;

use super::held::Held;
use super::queue::{Job, Key};
use super::{Failure, Fetcher};
use crate::contents::{ChunkRow, ContentRow, Node, Table};

/// Compressed bytes of a file that comes as a whole when something of it is missing.
const WHOLE_LEN: u64 = 256 << 10;
/// Compressed bytes that come along of a longer one, from what is missing on.
const WINDOW_LEN: u64 = 256 << 10;
/// Compressed bytes of its end that come along with its start: what a program or a library has there is needed to load it.
const TAIL_LEN: u64 = 64 << 10;
/// Compressed bytes that come along of files that follow in the same directory. What is prefetched so close behind something
/// that is missing comes with the same request.
pub(super) const NEIGHBOURS_LEN: u64 = 64 << 10;
/// Compressed bytes that come along of files before it.
const BEFORE_LEN: u64 = 16 << 10;
/// Rows of a table that are looked at for them.
const ROWS: u32 = 64;

impl<'s> Fetcher<'s> {
    /// Finds what comes along with chunks of a file that has several.
    pub(super) fn around(&self, held: &Held<'s>, chunks: Range<usize>) -> Result<Vec<Job>, Failure> {
        let mut along = Along::new(self);
        let missing = |chunk| missing_of(held, chunk);
        let behind = chunks.end..held.chunks.len();
        if held.blob_len() <= WHOLE_LEN {
            along.take(WHOLE_LEN, behind.chain(0..chunks.start).filter_map(missing));
            self.add_neighbours(&mut along, held.node, &held.content)?;
        } else {
            along.take(WINDOW_LEN, behind.clone().filter_map(missing));
            if chunks.start == 0 {
                along.take(TAIL_LEN, behind.rev().filter_map(missing));
            }
        }
        Ok(along.jobs)
    }

    /// Finds what comes along with a file of one chunk.
    pub(super) fn near(&self, node: Node, content: &ContentRow) -> Result<Vec<Job>, Failure> {
        let mut along = Along::new(self);
        self.add_neighbours(&mut along, node, content)?;
        Ok(along.jobs)
    }

    /// Finds the chunks of a stretch of a file that are not here.
    pub(super) fn all_of(&self, held: &Held<'s>, chunks: Range<usize>) -> Vec<Job> {
        let mut along = Along::new(self);
        along.take(u64::MAX, chunks.filter_map(|chunk| missing_of(held, chunk)));
        along.jobs
    }

    /// Adds files of the same directory that lie around one in the blob.
    fn add_neighbours(
        &self,
        along: &mut Along<'_, 's>,
        node: Node,
        content: &ContentRow,
    ) -> Result<(), Failure> {
        if along.left == 0 {
            return Ok(());
        }
        let table = self.tables.table(node.table).ok_or(Failure::NoLayer)?;
        let end = content.first_chunk.saturating_add(content.chunk_count);
        let rows = table.chunks(end, ROWS)?.into_iter().zip(end..);
        let behind = rows.take_while(|(row, _)| !row.starts_directory);
        along.take(NEIGHBOURS_LEN, self.jobs_of(&table, node, NEIGHBOURS_LEN, behind)?.into_iter());

        let start = content.first_chunk.saturating_sub(ROWS);
        let rows = table.chunks(start, content.first_chunk.saturating_sub(start).saturating_add(1))?;
        let mut rows: Vec<_> = rows.into_iter().zip(start..).collect();
        let directory = rows.iter().rposition(|(row, _)| row.starts_directory).unwrap_or(0);
        let before = rows.drain(directory..).rev().skip(1);
        along.take(BEFORE_LEN, self.jobs_of(&table, node, BEFORE_LEN, before)?.into_iter());
        Ok(())
    }

    /// Says what to fetch for rows of a table that are not here, as long as they have no more than `blob_len` bytes.
    fn jobs_of(
        &self,
        table: &Table,
        node: Node,
        blob_len: u64,
        rows: impl Iterator<Item = (ChunkRow, u32)>,
    ) -> Result<Vec<Job>, Failure> {
        let (mut jobs, mut left) = (Vec::new(), blob_len);
        for (row, place) in rows {
            let Some(rest) = left.checked_sub(row.chunk.blob.len()) else { break };
            let Some(content) = table.content(row.content)? else { break };
            let other = Node { row: row.content, ..node };
            // What another layer is known for comes from there.
            if self.store.objects().len_of(&content.digest)?.is_none()
                && self.tables.find(&content.digest)? == Some(other)
            {
                let chunk = place.saturating_sub(content.first_chunk);
                match self.job(Key { node: other, chunk }, &content) {
                    // It comes anyway.
                    Err(Failure::Taken { .. }) => continue,
                    job => jobs.extend(job?),
                }
                left = rest;
            }
        }
        Ok(jobs)
    }
}

/// Chunks that come along, as far as the budget goes.
struct Along<'f, 's> {
    fetcher: &'f Fetcher<'s>,
    left: u64,
    jobs: Vec<Job>,
}

impl<'f, 's> Along<'f, 's> {
    fn new(fetcher: &'f Fetcher<'s>) -> Self {
        Self { fetcher, left: fetcher.budget.left(), jobs: Vec::new() }
    }

    /// Takes chunks up to the first that is too much. Those that are on their way are passed over.
    fn take(&mut self, mut room: u64, jobs: impl Iterator<Item = Job>) {
        let is_new = |job: &Job| !self.fetcher.queue().has(&job.key);
        for job in jobs.filter(is_new) {
            let blob_len = job.chunk.blob.len();
            let (Some(left), Some(rest)) = (self.left.checked_sub(blob_len), room.checked_sub(blob_len))
            else {
                return;
            };
            (self.left, room) = (left, rest);
            self.fetcher.budget.hope(job.key, blob_len);
            self.jobs.push(job);
        }
    }
}

/// Says what to fetch for a chunk of a file; `None` when it is here.
fn missing_of(held: &Held<'_>, chunk: usize) -> Option<Job> {
    held.job(chunk).filter(|_| !held.has(chunk))
}
