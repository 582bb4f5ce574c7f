//! Fills in, when nobody waits for anything, what nobody asked for yet, so that some day everything is here.

use std::time::Instant;

use chunked::{ChunkKind, ContentDigest};

use super::layer::Layer;
use super::queue::{Bounds, Job, Key};
use super::{Failure, Fetcher, is_small};
use crate::contents::{ContentRow, Node};

/// Chunks that are looked at together.
const ROWS: u32 = 256;

/// A content that is not here, and the node it is known by.
type Wanted = Option<(ContentRow, Node)>;

/// What filling comes to next.
#[derive(Debug)]
pub(super) enum Next {
    /// These are missing.
    Jobs(Vec<Job>),
    /// Nothing is missing.
    Complete,
    /// Something was, and whether it came shows when all is looked through again.
    Again,
    /// This is, and somebody else fetches it.
    Taken(ContentDigest),
}

impl<'s> Fetcher<'s> {
    /// Finds what to fill in next, of any layer.
    pub(super) fn next_fill(&self, bounds: Bounds) -> Vec<Job> {
        let now = Instant::now();
        for layer in self.layers() {
            if !layer.can_be_filled(now) {
                continue;
            }
            match self.next_of(&layer, bounds) {
                Ok(Next::Jobs(jobs)) => return jobs,
                Ok(Next::Complete) if layer.start_to_prove() => self.prove(&layer),
                Ok(Next::Complete) => {}
                Ok(Next::Again) => {}
                Ok(Next::Taken(digest)) => self.put_off(&layer, &Failure::Taken { digest }),
                Err(failure) => self.put_off(&layer, &failure),
            }
        }
        Vec::new()
    }

    /// Fills a layer in only after a while, and says why if that was not said before.
    pub(super) fn put_off(&self, layer: &Layer, failure: &Failure) {
        if layer.back_off(failure) {
            self.events.layer_failed(layer.record(), failure);
        }
    }

    /// Finds the next chunks of a layer that are not here. It is looked through again once all that was missing came.
    fn next_of(&self, layer: &Layer, bounds: Bounds) -> Result<Next, Failure> {
        let mut fill = layer.fill();
        if fill.next == 0 && self.queue().has_any_from(layer.number) {
            return Ok(Next::Again);
        }
        let (mut jobs, mut blob_len) = (Vec::new(), 0_u64);
        let mut last: Option<(u32, Wanted)> = None;
        let mut taken = None;
        while jobs.len() < bounds.count && blob_len < bounds.blob_len {
            let rows = layer.table.chunks(fill.next, ROWS)?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                if jobs.len() >= bounds.count || blob_len >= bounds.blob_len {
                    break;
                }
                let wanted = match last.filter(|(content, _)| *content == row.content) {
                    Some((_, wanted)) => wanted,
                    None => self.wanted(layer, row.content)?,
                };
                last = Some((row.content, wanted));
                let job = match self.job_for(layer, &wanted, row.content, fill.next) {
                    Err(Failure::Taken { digest }) => {
                        (taken, fill.found_missing) = (Some(digest), true);
                        None
                    }
                    job => job?,
                };
                fill.next = fill.next.saturating_add(1);
                let Some(job) = job else { continue };
                fill.found_missing = true;
                blob_len = blob_len.saturating_add(job.chunk.blob.len());
                jobs.push(job);
            }
        }
        if !jobs.is_empty() {
            return Ok(Next::Jobs(jobs));
        }
        let was_missing = std::mem::take(&mut fill.found_missing);
        fill.next = 0;
        Ok(match taken {
            Some(digest) => Next::Taken(digest),
            None if was_missing => Next::Again,
            None => Next::Complete,
        })
    }

    /// Says by which node a content is known; `None` when it is here, or there is none.
    fn wanted(&self, layer: &Layer, row: u32) -> Result<Wanted, Failure> {
        let Some(content) = layer.table.content(row)? else { return Ok(None) };
        if self.store.objects().len_of(&content.digest)?.is_some() {
            return Ok(None);
        }
        let own = Node { table: layer.number, row };
        Ok(Some((content, self.tables.find(&content.digest)?.unwrap_or(own))))
    }

    /// Says what to fetch for the chunk at a place of a layer; `None` when it is here. It is known by the node of the first
    /// layer that has it, and taken from the blob of this one.
    fn job_for(&self, layer: &Layer, wanted: &Wanted, row: u32, place: u32) -> Result<Option<Job>, Failure> {
        let Some((content, node)) = *wanted else { return Ok(None) };
        let key = Key { node, chunk: place.saturating_sub(content.first_chunk) };
        if node == (Node { table: layer.number, row }) {
            return self.job(key, &content);
        }
        let Some(known) = self.tables.content(node)? else { return Ok(None) };
        // Layers that disagree are not served together. Were they, what is not taken from here must not count as here.
        let disputed = || Failure::Disputed { digest: content.digest };
        if (known.len, known.chunk_count) != (content.len, content.chunk_count) {
            return Err(disputed());
        }
        let Some(job) = self.job(key, &known)? else { return Ok(None) };
        self.job_from(layer.number, &job)?.ok_or_else(disputed).map(Some)
    }

    /// Says what to fetch for a chunk of a content that is not an object; `None` when it is here.
    pub(super) fn job(&self, key: Key, content: &ContentRow) -> Result<Option<Job>, Failure> {
        if is_small(content) {
            let place = content.first_chunk.saturating_add(key.chunk);
            let table = self.tables.table(key.node.table).ok_or(Failure::NoLayer)?;
            let row = table.chunks(place, 1)?.first().copied();
            if let Some(chunk) = row.map(|row| row.chunk).filter(|chunk| chunk.kind == ChunkKind::Data) {
                return Ok(Some(Job { key, content: *content, chunk, source: key.node.table }));
            }
        }
        let held = self.held(key.node, content)?;
        let index = key.chunk as usize;
        let is_here = held.has(index);
        self.ripen(&held);
        Ok(held.job(index).filter(|_| !is_here))
    }
}
