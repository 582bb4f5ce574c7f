//! Reads that wait for content.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::wire::RESENT;
use crate::contents::Node;
use crate::fetch::Ticket;

/// A read that is not answered yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Read {
    pub(super) unique: u64,
    /// The way that the request came, by its number.
    pub(super) device: usize,
    pub(super) node: Node,
    pub(super) offset: u64,
    pub(super) len: u32,
    /// How often what it waited for came.
    pub(super) rounds: u32,
    /// When it is given up, once it waits.
    pub(super) deadline: Option<Instant>,
}

/// The reads that wait. Whoever takes one out answers it, and nobody else.
#[derive(Debug, Default)]
pub(super) struct Parked {
    next: AtomicU64,
    reads: Mutex<HashMap<Ticket, Read>>,
    /// Those that nothing is fetched for, so that nobody tells when they can be answered.
    untold: Mutex<Vec<Ticket>>,
}

impl Parked {
    pub(super) fn park(&self, read: Read) -> Ticket {
        let ticket = Ticket(self.next.fetch_add(1, Ordering::Relaxed));
        self.lock().insert(ticket, read);
        ticket
    }

    /// Parks a read that is to be tried again.
    pub(super) fn park_untold(&self, read: Read) {
        let ticket = self.park(read);
        self.untold.lock().unwrap_or_else(PoisonError::into_inner).push(ticket);
    }

    /// Takes out the reads that are to be tried again.
    pub(super) fn take_untold(&self) -> Vec<Read> {
        let tickets = std::mem::take(&mut *self.untold.lock().unwrap_or_else(PoisonError::into_inner));
        tickets.into_iter().filter_map(|ticket| self.take(ticket)).collect()
    }

    pub(super) fn take(&self, ticket: Ticket) -> Option<Read> {
        self.lock().remove(&ticket)
    }

    /// Takes out the read that the kernel gives up.
    pub(super) fn take_interrupted(&self, unique: u64) -> Option<(Ticket, Read)> {
        let mut reads = self.lock();
        let is_it = |read: &Read| (read.unique ^ unique) & !RESENT == 0;
        let ticket = reads.iter().find(|(_, read)| is_it(read)).map(|(ticket, _)| *ticket)?;
        reads.remove(&ticket).map(|read| (ticket, read))
    }

    /// Takes out the reads that have waited too long.
    pub(super) fn take_late(&self, now: Instant) -> Vec<(Ticket, Read)> {
        self.lock().extract_if(|_, read| read.deadline.is_some_and(|at| at <= now)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Ticket, Read>> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Read {
    /// A read that just came.
    pub(super) fn new((unique, device): (u64, usize), node: Node, offset: u64, len: u32) -> Self {
        Self { unique, device, node, offset, len, rounds: 0, deadline: None }
    }

    /// Starts its wait, unless it has begun.
    pub(super) fn within(self, patience: Duration) -> Self {
        Self { deadline: self.deadline.or_else(|| Instant::now().checked_add(patience)), ..self }
    }
}
