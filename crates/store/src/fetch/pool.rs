use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

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

    /// Hands out a buffer, with whatever was in it.
    pub(super) fn take(&self) -> Vec<u8> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Takes a buffer back.
    pub(super) fn give(&self, buffer: Vec<u8>) {
        /// A buffer that an exceptionally large frame needed is not worth keeping.
        const LARGEST: usize = 4 << 20;
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < self.keep && buffer.capacity() <= LARGEST {
            free.push(buffer);
        }
    }
}

/// Content of several frames, one after another, that goes back to the pool when nobody needs it any more.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) bytes: Vec<u8>,
    pub(super) pool: Arc<Pool>,
}

impl Drop for Decoded {
    fn drop(&mut self) {
        self.pool.give(mem::take(&mut self.bytes));
    }
}
