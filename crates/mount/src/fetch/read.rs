//! Reads of contents, here or not.

use std::sync::PoisonError;

use chunked::{ChunkKind, FileRange};

use super::ahead::NEIGHBOURS_LEN;
use super::held::{Held, read_at};
use super::queue::{Class, Job, Key};
use super::{Failure, Fetcher, Ticket, is_small};
use crate::contents::{ContentRow, Node};

/// Rows of a table that are looked at for neighbours.
const NEIGHBOURS: u32 = 32;

/// What a read found.
#[derive(Debug)]
pub enum Found {
    /// The bytes.
    Here,
    /// Something is not here.
    Missing(Missing),
}

/// Chunks that a read needs and that are not here.
#[derive(Debug)]
pub struct Missing {
    jobs: Vec<Job>,
    ahead: Vec<Job>,
}

impl<'s> Fetcher<'s> {
    /// Reads up to `len` bytes of a content to the end of `room`, if all of them are here. At the end of the content there
    /// are fewer.
    ///
    /// # Errors
    /// Those of the store.
    pub fn read(&self, node: Node, offset: u64, len: u32, room: &mut Vec<u8>) -> Result<Found, Failure> {
        let content = self.tables.content(node)?.ok_or(Failure::NoLayer)?;
        let end = offset.saturating_add(u64::from(len)).min(content.len);
        let Some(range) = FileRange::new(offset, end).filter(|range| !range.is_empty()) else {
            return Ok(Found::Here);
        };
        let found = match is_small(&content) {
            true => self.read_small(node, &content, range, room)?,
            false => self.read_held(node, &content, range, room)?,
        };
        if matches!(found, Found::Here) {
            self.counters.read(range.len());
        }
        Ok(found)
    }

    fn read_small(
        &self,
        node: Node,
        content: &ContentRow,
        range: FileRange,
        room: &mut Vec<u8>,
    ) -> Result<Found, Failure> {
        self.note(node, 0..1);
        if let Some(object) = self.store.objects().open(&content.digest)? {
            let failed = crate::error::at_path("read", content.digest.to_string());
            read_at(&object, range, room).map_err(failed)?;
            return Ok(Found::Here);
        }
        match self.job(Key { node, chunk: 0 }, content)? {
            Some(job) if job.chunk.kind == ChunkKind::Data => {
                let ahead = self.neighbours(&job)?;
                Ok(Found::Missing(Missing { jobs: vec![job], ahead }))
            }
            // A hole is a file of its own.
            _ => self.read_held(node, content, range, room),
        }
    }

    fn read_held(
        &self,
        node: Node,
        content: &ContentRow,
        range: FileRange,
        room: &mut Vec<u8>,
    ) -> Result<Found, Failure> {
        let held = self.held(node, content)?;
        let chunks = held.chunks_in(range);
        self.note(node, chunks.start as u32..chunks.end as u32);
        let missing = held.read(range, room)?;
        let ahead = self.ahead_of(&held, range);
        if missing.is_empty() {
            self.ripen(&held);
            if !ahead.is_empty() {
                self.prefetch(&ahead);
            }
            return Ok(Found::Here);
        }
        let jobs: Vec<_> = missing.into_iter().filter_map(|chunk| job_of(&held, chunk)).collect();
        let ahead = if ahead.is_empty() { self.next_chunks(&held, chunks.end) } else { ahead };
        Ok(Found::Missing(Missing { jobs, ahead }))
    }

    /// Has what is missing fetched at once. The ticket ends when all of it is here, or some of it will not come.
    pub fn want(&self, missing: Missing, ticket: Ticket) {
        self.disturb();
        let mut queue = self.queue();
        let Missing { mut jobs, ahead } = missing;
        // What came since it was looked for has ended before the queue was locked.
        jobs.retain(|job| queue.has(&job.key) || !self.is_here(job));
        for job in &jobs {
            if !queue.has(&job.key) {
                self.budget.needed(job.chunk.blob.len());
            }
        }
        queue.wait(ticket, &jobs);
        drop(queue);
        self.prefetch(&ahead);
        self.changed.notify_all();
        if jobs.is_empty() {
            self.cancel(ticket);
            let _ = self.tell.send(super::Ended { ticket, result: Ok(()) });
        }
    }

    /// Has chunks fetched that will soon be wanted, it is thought.
    pub(super) fn prefetch(&self, jobs: &[Job]) {
        let mut queue = self.queue();
        for job in jobs {
            if !queue.has(&job.key) && !self.is_here(job) {
                queue.add(*job, Class::Prefetch);
            }
        }
        drop(queue);
        self.changed.notify_all();
    }

    /// Forgets a ticket.
    pub fn cancel(&self, ticket: Ticket) {
        self.queue().cancel(ticket);
    }

    fn is_here(&self, job: &Job) -> bool {
        if is_small(&job.content) {
            return matches!(self.store.objects().len_of(&job.content.digest), Ok(Some(_)));
        }
        self.held(job.key.node, &job.content).is_ok_and(|held| held.has(job.key.chunk as usize))
    }

    /// Finds small files that come after one in the blob and are not here: most often those of the same directory.
    fn neighbours(&self, job: &Job) -> Result<Vec<Job>, Failure> {
        let mut left = self.budget.left(NEIGHBOURS_LEN);
        if left == 0 {
            return Ok(Vec::new());
        }
        let table = self.tables.table(job.key.node.table).ok_or(Failure::NoLayer)?;
        let mut jobs = Vec::new();
        for row in table.chunks(job.content.first_chunk.saturating_add(1), NEIGHBOURS)? {
            let blob_len = row.chunk.blob.len();
            let Some(rest) = left.checked_sub(blob_len) else { break };
            let Some(content) = table.content(row.content)?.filter(is_small) else { break };
            if row.chunk.kind != ChunkKind::Data || self.store.objects().len_of(&content.digest)?.is_some() {
                continue;
            }
            let node = Node { table: job.key.node.table, row: row.content };
            if self.tables.find(&content.digest)? == Some(node) {
                left = rest;
                self.budget.hope(blob_len);
                jobs.push(Job { key: Key { node, chunk: 0 }, content, chunk: row.chunk });
            }
        }
        Ok(jobs)
    }

    /// Finds the chunks that follow in a file: they come with what is missing before them.
    fn next_chunks(&self, held: &Held<'_>, from: usize) -> Vec<Job> {
        let mut left = self.budget.left(NEIGHBOURS_LEN);
        let mut jobs = Vec::new();
        for job in (from..held.chunks.len()).filter_map(|chunk| job_of(held, chunk)) {
            let Some(rest) = left.checked_sub(job.chunk.blob.len()) else { break };
            if !held.has(job.key.chunk as usize) {
                left = rest;
                self.budget.hope(job.chunk.blob.len());
                jobs.push(job);
            }
        }
        jobs
    }

    /// Finds the chunks ahead of who reads a file in a row.
    fn ahead_of(&self, held: &Held<'_>, range: FileRange) -> Vec<Job> {
        let mut run = held.run.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((from, to)) = run.read(range.start(), range.end()) else { return Vec::new() };
        self.budget.came_true(std::mem::take(&mut run.hoped));
        let Some(range) = FileRange::new(from, to) else { return Vec::new() };
        let mut left = self.budget.left(u64::MAX);
        let mut jobs = Vec::new();
        for job in
            held.chunks_in(range).filter(|chunk| !held.has(*chunk)).filter_map(|chunk| job_of(held, chunk))
        {
            let Some(rest) = left.checked_sub(job.chunk.blob.len()) else { break };
            left = rest;
            self.budget.hope(job.chunk.blob.len());
            run.hoped = run.hoped.saturating_add(job.chunk.blob.len());
            jobs.push(job);
        }
        jobs
    }

    /// Tells of a read that failed.
    pub fn tell_failed(&self, node: Node, failure: &Failure) {
        if let Ok(Some(content)) = self.tables.content(node) {
            self.events.read_failed(&content.digest, failure);
        }
    }
}

fn job_of(held: &Held<'_>, chunk: usize) -> Option<Job> {
    let key = Key { node: held.node, chunk: u32::try_from(chunk).ok()? };
    Some(Job { key, content: held.content, chunk: *held.chunks.get(chunk)? })
}
