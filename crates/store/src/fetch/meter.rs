use std::sync::atomic::{AtomicU64, Ordering};

use super::Progress;

/// Counts the bytes of a layer that were announced and those that came, and tells of both.
pub(super) struct Meter<'a> {
    progress: &'a dyn Progress,
    announced: AtomicU64,
    came: AtomicU64,
    wasted: AtomicU64,
}

impl<'a> Meter<'a> {
    pub(super) fn new(progress: &'a dyn Progress) -> Self {
        let zero = || AtomicU64::new(0);
        Self { progress, announced: zero(), came: zero(), wasted: zero() }
    }

    /// Says that `bytes` are to come from now on. What an earlier plan announced and did not bring is part of them.
    pub(super) fn plan(&self, bytes: u64) {
        let total = self.came.load(Ordering::Relaxed).saturating_add(bytes);
        let announced = self.announced.fetch_max(total, Ordering::Relaxed);
        self.progress.planned(total.saturating_sub(announced));
    }

    /// Says that `bytes` came.
    pub(super) fn came(&self, bytes: u64) {
        self.came.fetch_add(bytes, Ordering::Relaxed);
        self.progress.came(bytes);
    }

    /// Says that `bytes` that came are of no use.
    pub(super) fn waste(&self, bytes: u64) {
        self.wasted.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts the bytes that came and were of no use.
    pub(super) fn wasted(&self) -> u64 {
        self.wasted.load(Ordering::Relaxed)
    }
}
