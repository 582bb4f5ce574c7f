//! Reads of contents, here or not.

use std::ops::Range;
use std::sync::PoisonError;

use chunked::{ChunkKind, FileRange};

use super::held::{Held, read_at};
use super::queue::{Job, Key, Queue, Urgency};
use super::{Failure, Fetcher, Ticket, is_small};
use crate::contents::{ContentRow, Node};

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
        self.read_chunks(node, 0..1);
        if let Some(object) = self.store.objects().open(&content.digest)? {
            let failed = crate::error::at_path("read", content.digest.to_string());
            read_at(&object, range, room).map_err(failed)?;
            return Ok(Found::Here);
        }
        match self.job(Key { node, chunk: 0 }, content)? {
            Some(job) if job.chunk.kind == ChunkKind::Data => {
                let ahead = self.near(node, content)?;
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
        self.read_chunks(node, chunks.start as u32..chunks.end as u32);
        let missing = held.read(range, room)?;
        let ahead = self.ahead_of(&held, range);
        if missing.is_empty() {
            self.ripen(&held);
            if !ahead.is_empty() {
                self.prefetch(&ahead);
            }
            return Ok(Found::Here);
        }
        let jobs: Vec<_> = missing.into_iter().filter_map(|chunk| held.job(chunk)).collect();
        let ahead = if ahead.is_empty() { self.around(&held, chunks)? } else { ahead };
        Ok(Found::Missing(Missing { jobs, ahead }))
    }

    /// Takes note that somebody reads chunks.
    fn read_chunks(&self, node: Node, chunks: Range<u32>) {
        self.budget.read(node, chunks.clone());
        self.note(node, chunks);
    }

    /// Has what is missing fetched at once, and what is near it along with it. The ticket ends when all of it is here, or
    /// some of it will not come.
    pub fn want(&self, missing: Missing, ticket: Ticket) {
        self.disturb();
        let Missing { mut jobs, ahead } = missing;
        let mut queue = self.queue();
        // What came since it was looked for has ended before the queue was locked.
        jobs.retain(|job| queue.has(&job.key) || !self.is_here(job));
        for job in &jobs {
            if !queue.has(&job.key) {
                self.budget.needed(job.chunk.blob.len());
            }
        }
        queue.wait(ticket, &jobs);
        // Together, so that whoever takes the one sees the other.
        self.add_prefetches(&mut queue, &ahead);
        drop(queue);
        self.changed.notify_all();
        if jobs.is_empty() {
            self.cancel(ticket);
            let _ = self.tell.send(super::Ended { ticket, result: Ok(()) });
        }
    }

    /// Has chunks fetched that will soon be wanted, it is thought.
    fn prefetch(&self, jobs: &[Job]) {
        self.add_prefetches(&mut self.queue(), jobs);
        self.changed.notify_all();
    }

    fn add_prefetches(&self, queue: &mut Queue, jobs: &[Job]) {
        for job in jobs {
            if !queue.has(&job.key) && !self.is_here(job) {
                queue.add(*job, Urgency::Prefetch);
            }
        }
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

    /// Finds the chunks ahead of who reads a file in a row.
    fn ahead_of(&self, held: &Held<'s>, range: FileRange) -> Vec<Job> {
        let mut run = held.run.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((from, to)) = run.read(range.start(), range.end()) else { return Vec::new() };
        let Some(range) = FileRange::new(from, to) else { return Vec::new() };
        drop(run);
        self.all_of(held, held.chunks_in(range))
    }

    /// Tells of a read that failed.
    pub fn tell_failed(&self, node: Node, failure: &Failure) {
        if let Ok(Some(content)) = self.tables.content(node) {
            self.events.read_failed(&content.digest, failure);
        }
    }
}
