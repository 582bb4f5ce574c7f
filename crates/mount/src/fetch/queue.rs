//! What is to be fetched, in which order, and who waits for it. No chunk is ever on its way twice.

use std::collections::{HashMap, VecDeque};

use chunked::Chunk;

use super::along::NEIGHBOURS_LEN;
use super::{Ended, Failure, Ticket};
use crate::contents::{ContentRow, Node};

/// How urgent a chunk is. The order is that of urgency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// Somebody is stopped until it comes.
    Fault,
    /// Somebody will soon want it, it is thought.
    Prefetch,
    /// So that everything is here some day.
    Fill,
}

/// A chunk of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) node: Node,
    /// Its place in the content.
    pub(super) chunk: u32,
}

/// A chunk that is to be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) key: Key,
    pub(super) content: ContentRow,
    pub(super) chunk: Chunk,
    /// The layer whose blob it is taken from, and where `chunk` says: another one than that of the node may have it as well.
    pub(super) source: u32,
}

/// A chunk between being wanted and being here.
#[derive(Debug)]
struct Flight {
    job: Job,
    urgency: Urgency,
    is_carried: bool,
    tickets: Vec<Ticket>,
    /// Layers that did not give it.
    failed: Vec<u32>,
}

/// Bounds on what is fetched together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Chunks.
    pub(super) count: usize,
    /// Compressed bytes.
    pub(super) blob_len: u64,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    flights: HashMap<Key, Flight>,
    faults: VecDeque<Key>,
    prefetches: VecDeque<Key>,
    /// How many chunks each ticket waits for.
    waiting: HashMap<Ticket, usize>,
    /// Faults that are not here yet.
    urgent: usize,
}

impl Queue {
    /// Tells whether a chunk is on its way.
    pub(super) fn has(&self, key: &Key) -> bool {
        self.flights.contains_key(key)
    }

    /// Tells whether a chunk is on its way from a layer.
    pub(super) fn has_any_from(&self, source: u32) -> bool {
        self.flights.values().any(|flight| flight.job.source == source)
    }

    /// Makes a ticket wait for chunks, if only for those that are not here by now.
    pub(super) fn wait(&mut self, ticket: Ticket, jobs: &[Job]) {
        self.waiting.insert(ticket, jobs.len());
        for job in jobs {
            self.add(*job, Urgency::Fault);
            if let Some(flight) = self.flights.get_mut(&job.key) {
                flight.tickets.push(ticket);
            }
        }
    }

    /// Wants a chunk, or wants it more than before.
    pub(super) fn add(&mut self, job: Job, urgency: Urgency) {
        let flight = self.flights.entry(job.key).or_insert_with(|| Flight {
            job,
            urgency: Urgency::Fill,
            is_carried: false,
            tickets: Vec::new(),
            failed: Vec::new(),
        });
        if urgency >= flight.urgency && flight.urgency != Urgency::Fill {
            return;
        }
        self.urgent += usize::from(urgency == Urgency::Fault && flight.urgency != Urgency::Fault);
        flight.urgency = urgency;
        match urgency {
            _ if flight.is_carried => {}
            Urgency::Fault => self.faults.push_back(job.key),
            Urgency::Prefetch => self.prefetches.push_back(job.key),
            Urgency::Fill => {}
        }
    }

    /// Takes what nobody else carries, to be filled in.
    pub(super) fn take_fill(&mut self, jobs: Vec<Job>) -> Vec<Job> {
        let mut taken = jobs;
        taken.retain(|job| !self.has(&job.key));
        for job in &taken {
            self.add(*job, Urgency::Fill);
            self.carry(&job.key);
        }
        taken
    }

    /// Takes the faults that have waited longest, of one layer, and what is prefetched close behind them in the blob.
    pub(super) fn take_faults(&mut self, bounds: Bounds) -> Vec<Job> {
        let mut batch = Batch { jobs: Vec::new(), blob_len: 0, bounds };
        gather(&mut self.flights, &mut self.faults, Urgency::Fault, &mut batch, &|_, _| true);
        if !batch.jobs.is_empty() {
            let is_near = |faults: &[Job], job: &Job| faults.iter().any(|fault| is_behind(fault, job));
            gather(&mut self.flights, &mut self.prefetches, Urgency::Prefetch, &mut batch, &is_near);
        }
        batch.jobs
    }

    /// Takes the chunks that will soon be wanted and have waited longest, of one layer.
    pub(super) fn take_prefetches(&mut self, bounds: Bounds) -> Vec<Job> {
        let mut batch = Batch { jobs: Vec::new(), blob_len: 0, bounds };
        gather(&mut self.flights, &mut self.prefetches, Urgency::Prefetch, &mut batch, &|_, _| true);
        batch.jobs
    }

    /// Takes note that a layer did not give a chunk, and lists all that did not; `None` if nobody wants it but to fill a
    /// layer in, which is done from that one.
    pub(super) fn failed(&mut self, job: &Job) -> Option<Vec<u32>> {
        let flight = self.flights.get_mut(&job.key).filter(|flight| flight.urgency != Urgency::Fill)?;
        flight.failed.push(job.source);
        Some(flight.failed.clone())
    }

    /// Puts back what was taken and is not carried after all, or is to be taken from another layer.
    pub(super) fn put_back(&mut self, jobs: &[Job]) {
        for job in jobs.iter().rev() {
            let Some(flight) = self.flights.get_mut(&job.key) else { continue };
            (flight.job, flight.is_carried) = (*job, false);
            match flight.urgency {
                Urgency::Fault => self.faults.push_front(job.key),
                Urgency::Prefetch => self.prefetches.push_front(job.key),
                // Whoever fills comes by again.
                Urgency::Fill => _ = self.flights.remove(&job.key),
            }
        }
    }

    /// Takes note that a chunk is here, or will not come, and says who has nothing to wait for any more.
    pub(super) fn end(&mut self, key: &Key, result: &Result<(), Failure>) -> Vec<Ended> {
        let Some(flight) = self.flights.remove(key) else { return Vec::new() };
        self.urgent -= usize::from(flight.urgency == Urgency::Fault);
        let mut ended = Vec::new();
        for ticket in flight.tickets {
            let Some(left) = self.waiting.get_mut(&ticket) else { continue };
            *left = left.saturating_sub(1);
            if *left == 0 || result.is_err() {
                self.waiting.remove(&ticket);
                ended.push(Ended { ticket, result: result.clone() });
            }
        }
        ended
    }

    /// Forgets a ticket. What it waited for comes all the same.
    pub(super) fn cancel(&mut self, ticket: Ticket) {
        self.waiting.remove(&ticket);
    }

    /// Tells whether somebody is stopped until something comes.
    pub(super) fn is_urgent(&self) -> bool {
        self.urgent > 0
    }

    /// Returns the urgency that a chunk has by now.
    pub(super) fn urgency_of(&self, key: &Key) -> Option<Urgency> {
        self.flights.get(key).map(|flight| flight.urgency)
    }

    /// Counts the chunks that are on their way or wait to be.
    pub(super) fn len(&self) -> usize {
        self.flights.len()
    }

    fn carry(&mut self, key: &Key) {
        if let Some(flight) = self.flights.get_mut(key) {
            flight.is_carried = true;
        }
    }
}

#[derive(Debug)]
struct Batch {
    jobs: Vec<Job>,
    blob_len: u64,
    bounds: Bounds,
}

impl Batch {
    fn fits(&self, job: &Job) -> bool {
        let Some(first) = self.jobs.first() else { return true };
        first.source == job.source
            && self.jobs.len() < self.bounds.count
            && self.blob_len.saturating_add(job.chunk.blob.len()) <= self.bounds.blob_len
    }

    fn add(&mut self, job: Job) {
        self.blob_len = self.blob_len.saturating_add(job.chunk.blob.len());
        self.jobs.push(job);
    }
}

/// Tells whether a chunk comes so soon after another in the blob that it costs no request of its own.
fn is_behind(one: &Job, other: &Job) -> bool {
    let gap = other.chunk.blob.start().checked_sub(one.chunk.blob.end());
    gap.is_some_and(|gap| gap <= NEIGHBOURS_LEN)
}

/// Moves what fits from a queue into a batch, and drops what is carried or more urgent by now.
fn gather(
    flights: &mut HashMap<Key, Flight>,
    order: &mut VecDeque<Key>,
    urgency: Urgency,
    batch: &mut Batch,
    is_wanted: &dyn Fn(&[Job], &Job) -> bool,
) {
    /// Keys looked at. What is not found among so many waits for the next.
    const LOOKED_AT: usize = 256;
    let mut kept = VecDeque::new();
    for _ in 0..LOOKED_AT {
        let Some(key) = order.pop_front() else { break };
        let Some(flight) =
            flights.get_mut(&key).filter(|flight| !flight.is_carried && flight.urgency == urgency)
        else {
            continue;
        };
        if batch.fits(&flight.job) && is_wanted(&batch.jobs, &flight.job) {
            flight.is_carried = true;
            batch.add(flight.job);
        } else {
            kept.push_back(key);
        }
    }
    while let Some(key) = kept.pop_back() {
        order.push_front(key);
    }
}

#[cfg(test)]
mod tests {
    use chunked::{BlobRange, ChunkKind, ContentDigest, FileRange};

    use super::*;

    const BOUNDS: Bounds = Bounds { count: 4, blob_len: 100 };

    fn job(table: u32, row: u32) -> Job {
        let node = Node { table, row };
        let content =
            ContentRow { digest: ContentDigest([row as u8; 32]), len: 10, first_chunk: row, chunk_count: 1 };
        let chunk = Chunk {
            file: FileRange::new(0, 10).unwrap(),
            blob: BlobRange::with_len(u64::from(row) * 10, 10).unwrap(),
            inner_offset: 0,
            digest: None,
            kind: ChunkKind::Data,
        };
        Job { key: Key { node, chunk: 0 }, content, chunk, source: table }
    }

    fn rows(jobs: &[Job]) -> Vec<u32> {
        jobs.iter().map(|job| job.key.node.row).collect()
    }

    #[test]
    fn faults_come_first_and_take_along_what_is_prefetched_behind_them() {
        let mut queue = Queue::default();
        for (table, row) in [(0, 1), (0, 9), (1, 9)] {
            queue.add(job(table, row), Urgency::Prefetch);
        }
        queue.wait(Ticket(1), &[job(0, 7), job(1, 8)]);
        assert!(queue.is_urgent());
        assert_eq!(rows(&queue.take_faults(BOUNDS)), [7, 9]);
        assert_eq!(rows(&queue.take_faults(BOUNDS)), [8, 9]);
        assert!(queue.take_faults(BOUNDS).is_empty());
        assert_eq!(rows(&queue.take_prefetches(BOUNDS)), [1]);
    }

    #[test]
    fn no_chunk_is_on_its_way_twice() {
        let mut queue = Queue::default();
        assert_eq!(rows(&queue.take_fill(vec![job(0, 1), job(0, 2)])), [1, 2]);
        assert!(queue.take_fill(vec![job(0, 1)]).is_empty());
        queue.wait(Ticket(1), &[job(0, 1)]);
        queue.wait(Ticket(2), &[job(0, 1), job(0, 3)]);
        assert_eq!(queue.urgency_of(&job(0, 1).key), Some(Urgency::Fault));
        assert_eq!(rows(&queue.take_faults(BOUNDS)), [3]);
        let ended = queue.end(&job(0, 1).key, &Ok(()));
        assert_eq!(ended.iter().map(|ended| ended.ticket).collect::<Vec<_>>(), [Ticket(1)]);
        let ended = queue.end(&job(0, 3).key, &Err(Failure::Late));
        assert!(matches!(ended[..], [Ended { ticket: Ticket(2), result: Err(Failure::Late) }]));
        assert!(!queue.is_urgent());
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn batches_are_bounded_and_what_is_put_back_comes_first() {
        let mut queue = Queue::default();
        (0..6).for_each(|row| queue.add(job(0, row), Urgency::Prefetch));
        let taken = queue.take_prefetches(BOUNDS);
        assert_eq!(rows(&taken), [0, 1, 2, 3]);
        queue.put_back(&taken[1..]);
        assert_eq!(rows(&queue.take_prefetches(BOUNDS)), [1, 2, 3, 4]);
        queue.wait(Ticket(1), &[job(0, 5)]);
        queue.cancel(Ticket(1));
        assert!(queue.end(&job(0, 5).key, &Ok(())).is_empty());
    }
}
