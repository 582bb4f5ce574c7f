//! What to fetch along with what is needed, in the hope that it will be.
//!
//! A round trip costs as much as a good many bytes, so what lies near something that is missing comes with it, and who reads
//! a large file from start to end gets ever more of it ahead. All of it together is bounded by what was needed.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::queue::Key;
use crate::contents::Node;

/// What may be in vain: one in so many of the needed bytes.
const SHARE: u64 = 3;
/// And so many more, so that there is a start.
const START_LEN: u64 = 1 << 20;
/// Chunks that are remembered until somebody reads them.
const OPEN_MAX: usize = 1 << 16;
/// Least and most bytes of a file that are fetched ahead of who reads it in a row.
const RUN_LEN_MIN: u64 = 256 << 10;
const RUN_LEN_MAX: u64 = 8 << 20;

/// Compressed bytes that were fetched because they were needed, and in hope.
///
/// What was hoped for and then read was needed. That is only seen where the read comes by here: a small file that became an
/// object is read without, and counts as in vain for ever.
#[derive(Debug, Default)]
pub(super) struct Budget(Mutex<Spent>);

#[derive(Debug, Default)]
struct Spent {
    needed: u64,
    hoped: u64,
    /// Chunks that nobody read yet.
    open: HashMap<Key, u64>,
}

impl Budget {
    /// Takes note that a chunk is fetched because somebody waits for it.
    pub(super) fn needed(&self, blob_len: u64) {
        let mut spent = self.spent();
        spent.needed = spent.needed.saturating_add(blob_len);
    }

    /// Returns how many bytes may be fetched in hope.
    pub(super) fn left(&self) -> u64 {
        let spent = self.spent();
        (spent.needed / SHARE).saturating_add(START_LEN).saturating_sub(spent.hoped)
    }

    /// Takes note that a chunk is fetched in hope.
    pub(super) fn hope(&self, key: Key, blob_len: u64) {
        let mut spent = self.spent();
        if spent.open.contains_key(&key) {
            return;
        }
        spent.hoped = spent.hoped.saturating_add(blob_len);
        if spent.open.len() < OPEN_MAX {
            spent.open.insert(key, blob_len);
        }
    }

    /// Takes note that chunks are read.
    pub(super) fn read(&self, node: Node, chunks: Range<u32>) {
        let mut spent = self.spent();
        if spent.open.is_empty() {
            return;
        }
        for chunk in chunks {
            let Some(blob_len) = spent.open.remove(&Key { node, chunk }) else { continue };
            spent.needed = spent.needed.saturating_add(blob_len);
            spent.hoped = spent.hoped.saturating_sub(blob_len);
        }
    }

    fn spent(&self) -> MutexGuard<'_, Spent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        assert_eq!(budget.left(), START_LEN);
        let node = Node { table: 0, row: 7 };
        budget.hope(Key { node, chunk: 1 }, START_LEN);
        assert_eq!(budget.left(), 0);
        budget.needed(900);
        assert_eq!(budget.left(), 300);
        budget.read(node, 0..1);
        assert_eq!(budget.left(), 300);
        for _ in 0..2 {
            budget.read(node, 0..2);
            assert_eq!(budget.left(), START_LEN + (START_LEN + 900) / SHARE);
        }
    }
}
