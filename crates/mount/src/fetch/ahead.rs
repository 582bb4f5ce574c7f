//! What to fetch along with what is needed, in the hope that it will be.
//!
//! A round trip costs as much as a good many bytes, so the neighbours of a small file that is missing come with it, and who
//! reads a large file from start to end gets ever more of it ahead. All of it together is bounded by what was needed.

use std::sync::atomic::{AtomicU64, Ordering};

/// What may be fetched in hope: one in so many of the needed bytes.
const SHARE: u64 = 4;
/// And so many more, so that there is a start.
const START_LEN: u64 = 256 << 10;
/// Compressed bytes of neighbours that come with what is missing. Of the 626 chunks that a Python program reads that imports
/// numpy, this leaves 135 requests; twice as much leaves 100, for a quarter more bytes.
pub(super) const NEIGHBOURS_LEN: u64 = 64 << 10;
/// Least and most bytes of a file that are fetched ahead of who reads it in a row.
const RUN_LEN_MIN: u64 = 256 << 10;
const RUN_LEN_MAX: u64 = 8 << 20;

/// Compressed bytes that were fetched because they were needed, and in hope.
#[derive(Debug, Default)]
pub(super) struct Budget {
    needed: AtomicU64,
    hoped: AtomicU64,
}

impl Budget {
    pub(super) fn needed(&self, blob_len: u64) {
        self.needed.fetch_add(blob_len, Ordering::Relaxed);
    }

    /// Takes up to `wanted` bytes to be fetched in hope.
    pub(super) fn left(&self, wanted: u64) -> u64 {
        let allowed = (self.needed.load(Ordering::Relaxed) / SHARE).saturating_add(START_LEN);
        allowed.saturating_sub(self.hoped.load(Ordering::Relaxed)).min(wanted)
    }

    /// Says that so many bytes are fetched in hope.
    pub(super) fn hope(&self, blob_len: u64) {
        self.hoped.fetch_add(blob_len, Ordering::Relaxed);
    }

    /// Says that what was fetched in hope was needed.
    pub(super) fn came_true(&self, blob_len: u64) {
        self.needed(blob_len);
        let sub = |hoped: u64| Some(hoped.saturating_sub(blob_len));
        let _ = self.hoped.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sub);
    }
}

/// How a file is being read.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// Where the last read ended.
    end: u64,
    /// How much is fetched ahead.
    ahead_len: u64,
    /// Where what was fetched ahead ends.
    fetched_to: u64,
    /// Compressed bytes of what was fetched ahead last.
    pub(super) hoped: u64,
}

impl Run {
    /// Takes note of a read, and says up to where to fetch ahead if it goes on: only when what was fetched ahead is half
    /// used up. `None` when there is no reason to.
    pub(super) fn read(&mut self, start: u64, end: u64) -> Option<(u64, u64)> {
        // Reads that the kernel sends ahead of each other may come in any order.
        let follows =
            start <= self.end.saturating_add(RUN_LEN_MIN) && end.saturating_add(RUN_LEN_MIN) >= self.end;
        let is_first = self.end == 0 && start == 0;
        self.end = if follows { self.end.max(end) } else { end };
        if !follows || is_first {
            (self.ahead_len, self.fetched_to) = (0, 0);
            return None;
        }
        if self.fetched_to.saturating_sub(self.end) > self.ahead_len / 2 {
            return None;
        }
        self.ahead_len = self.ahead_len.saturating_mul(2).clamp(RUN_LEN_MIN, RUN_LEN_MAX);
        let from = self.end.max(self.fetched_to);
        self.fetched_to = self.end.saturating_add(self.ahead_len);
        Some((from, self.fetched_to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_in_a_row_gets_ever_more_ahead() {
        let (mut run, mut ahead, mut at) = (Run::default(), Vec::new(), 0);
        for _ in 0..64 {
            ahead.extend(run.read(at, at + (128 << 10)).map(|(_, to)| (to - at) >> 10));
            at += 128 << 10;
        }
        assert_eq!(ahead[..4], [384, 640, 1152, 2176]);
        assert!(ahead.is_sorted());
        assert_eq!(run.read(1 << 40, 1 + (1 << 40)), None);
        assert_eq!(Run::default().read(5 << 20, 6 << 20), None);
    }

    #[test]
    fn what_is_hoped_for_is_bounded_by_what_was_needed() {
        let budget = Budget::default();
        assert_eq!(budget.left(u64::MAX), START_LEN);
        budget.hope(START_LEN);
        assert_eq!(budget.left(1), 0);
        budget.needed(1000);
        assert_eq!(budget.left(u64::MAX), 250);
        budget.came_true(START_LEN);
        assert_eq!(budget.left(u64::MAX), START_LEN + (START_LEN + 1000) / SHARE);
    }
}
