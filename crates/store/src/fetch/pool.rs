use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes that a buffer of the pool has room for, or a multiple of it, so that it fits for most of what comes next.
pub(super) const ROOM: usize = 1 << 20;
/// What an exceptionally large frame needs is not worth keeping.
const LARGEST: usize = 4 * ROOM;

/// Buffers that are used again: fresh memory costs a page fault for every 4 KiB.
#[derive(Debug)]
pub(super) struct Pool {
    free: Mutex<Vec<Vec<u8>>>,
    keep: usize,
}

impl Pool {
    /// Keeps up to `keep` buffers.
    pub(super) fn new(keep: usize) -> Self {
        Self { free: Mutex::new(Vec::new()), keep }
    }

    /// Hands out a buffer with room for `len` bytes, or for the [`LARGEST`] there are, and with whatever was in it.
    pub(super) fn take(&self, len: u64) -> Vec<u8> {
        let len = usize::try_from(len).unwrap_or(LARGEST).min(LARGEST);
        // A large buffer is not held for little.
        if len < ROOM / 4 {
            return Vec::with_capacity(len);
        }
        let mut free = self.lock();
        match free.iter().rposition(|buffer| buffer.capacity() >= len) {
            Some(fitting) => free.swap_remove(fitting),
            // Not grown: that would copy what nobody wants to know any more.
            None => Vec::with_capacity(len.next_multiple_of(ROOM)),
        }
    }

    /// Takes a buffer back.
    pub(super) fn give(&self, buffer: Vec<u8>) {
        let mut free = self.lock();
        if free.len() < self.keep && (ROOM..=LARGEST).contains(&buffer.capacity()) {
            free.push(buffer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Content of several frames, one after another, that goes back to the pool when nobody needs it any more.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) bytes: Vec<u8>,
    pool: Arc<Pool>,
}

impl Decoded {
    /// Takes a buffer with room for `len` bytes, and with whatever was in it.
    pub(super) fn with_room(pool: &Arc<Pool>, len: u64) -> Self {
        Self { bytes: pool.take(len), pool: Arc::clone(pool) }
    }
}

impl Drop for Decoded {
    fn drop(&mut self) {
        self.pool.give(mem::take(&mut self.bytes));
    }
}
