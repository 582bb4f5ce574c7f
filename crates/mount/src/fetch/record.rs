//! What is read, written down to be fetched ahead the next time.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::PoisonError;

use super::queue::{Key, Urgency};
use super::{Failure, Fetcher};
use crate::contents::Node;
use crate::error::Error;
use crate::profile::ChunkRead;

/// Reads so far, each chunk once, in the order of the first.
#[derive(Debug, Default)]
pub(super) struct Reads {
    order: Vec<(Node, u32)>,
    known: HashSet<(Node, u32)>,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recorded {
    /// The chunks, in the order of their first read.
    pub reads: Vec<ChunkRead>,
    /// Compressed bytes of them.
    pub blob_len: u64,
}

impl Reads {
    fn add(&mut self, node: Node, chunks: Range<u32>) {
        for chunk in chunks {
            if self.known.insert((node, chunk)) {
                self.order.push((node, chunk));
            }
        }
    }
}

impl Fetcher<'_> {
    /// Starts to write down what is read.
    pub fn record(&self) {
        *self.record.lock().unwrap_or_else(PoisonError::into_inner) = Some(Reads::default());
    }

    /// Returns what was read since then.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn recorded(&self) -> Result<Recorded, Error> {
        let reads = self.record.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
        let mut recorded = Recorded::default();
        for (node, chunk) in reads.order {
            let Some(table) = self.tables.table(node.table) else { continue };
            let Some(content) = table.content(node.row)? else { continue };
            recorded.reads.push(ChunkRead { content: content.digest, chunk });
            let rows = table.chunks(content.first_chunk.saturating_add(chunk), 1)?;
            let blob_len = rows.first().map_or(0, |row| row.chunk.blob.len());
            recorded.blob_len = recorded.blob_len.saturating_add(blob_len);
        }
        Ok(recorded)
    }

    /// Takes note of chunks that are read, if somebody wants to know.
    pub(super) fn note(&self, node: Node, chunks: Range<u32>) {
        if let Some(reads) = &mut *self.record.lock().unwrap_or_else(PoisonError::into_inner) {
            reads.add(node, chunks);
        }
    }

    /// Has fetched, in this order, what will be read. What no layer has is passed over.
    ///
    /// # Errors
    /// Those of the store.
    pub fn prefetch_all(&self, reads: &[ChunkRead]) -> Result<(), Error> {
        let mut jobs = Vec::new();
        for ChunkRead { content, chunk } in reads {
            let Some(node) = self.tables.find(content)? else { continue };
            let Some(row) = self.tables.content(node)?.filter(|row| *chunk < row.chunk_count) else {
                continue;
            };
            if self.store.objects().len_of(content)?.is_some() {
                continue;
            }
            match self.job(Key { node, chunk: *chunk }, &row) {
                Ok(job) => jobs.extend(job),
                Err(Failure::Store(error)) => {
                    return Err(Error::Daemon { why: crate::error::chain(&*error) });
                }
                Err(_) => {}
            }
        }
        let mut queue = self.queue();
        jobs.into_iter().for_each(|job| queue.add(job, Urgency::Prefetch));
        drop(queue);
        self.changed.notify_all();
        Ok(())
    }
}
