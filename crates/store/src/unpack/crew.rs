//! Threads that share the directories of a tree.

use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::tally::Tally;
use crate::error::Error;
use crate::tree::NodeId;

/// One thread's way to work on a directory.
pub(super) trait Worker {
    /// Does a directory, and returns the directories in it, which are there by now.
    fn directory(&mut self, id: NodeId) -> Result<Vec<NodeId>, Error>;

    /// Returns what was done.
    fn finish(self) -> Tally;
}

/// Does `root` and all that is found below it, each directory once.
pub(super) fn run<W: Worker>(
    jobs: NonZeroUsize,
    root: NodeId,
    worker: impl Fn() -> W + Sync,
) -> Result<Tally, Error> {
    let frontier = Frontier::new(root);
    let work = || {
        let mut worker = worker();
        // A thread that fails or panics must not leave the others waiting.
        let _stop = StopOnDrop(&frontier);
        while let Some(directory) = frontier.take() {
            frontier.found(worker.directory(directory)?);
        }
        Ok(worker.finish())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs.get()).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(|thread| thread.join().unwrap_or(Err(Error::WorkerLost)));
        let tallies: Vec<_> = joined.collect();
        tallies.into_iter().try_fold(Tally::default(), |sum, tally| Ok(sum.merge(tally?)))
    })
}

/// The directories that are still to be done. The last one found comes first, so there are never many.
struct Frontier {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    waiting: Vec<NodeId>,
    /// Threads that may still find some.
    busy: usize,
    stopped: bool,
}

impl Frontier {
    fn new(root: NodeId) -> Self {
        let state = State { waiting: vec![root], busy: 0, stopped: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Waits for a directory; `None` when all are done, or somebody failed.
    fn take(&self) -> Option<NodeId> {
        let is_idle = |state: &mut State| !state.stopped && state.waiting.is_empty() && state.busy > 0;
        let mut state = self.changed.wait_while(self.lock(), is_idle).unwrap_or_else(PoisonError::into_inner);
        let next = state.waiting.pop().filter(|_| !state.stopped)?;
        state.busy += 1;
        Some(next)
    }

    /// Ends a directory that was taken.
    fn found(&self, directories: Vec<NodeId>) {
        let mut state = self.lock();
        state.waiting.extend(directories);
        state.busy -= 1;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct StopOnDrop<'a>(&'a Frontier);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.lock().stopped = true;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::tree::{Builder, Limits, Tree};

    /// Goes through a tree of directories; fails at one, if told.
    struct Counter<'a> {
        tree: &'a Tree,
        count: &'a AtomicU32,
        fails_at: Option<u32>,
    }

    impl Worker for Counter<'_> {
        fn directory(&mut self, id: NodeId) -> Result<Vec<NodeId>, Error> {
            match self.fails_at == Some(self.count.fetch_add(1, Ordering::Relaxed)) {
                true => Err(Error::WorkerLost),
                false => Ok(self.tree.children(id).map(|child| child.node).collect()),
            }
        }

        fn finish(self) -> Tally {
            Tally::default()
        }
    }

    fn directories(count: usize) -> Tree {
        let names = (0..count).map(|n| n.to_string().chars().map(|c| format!("{c}/")).collect::<String>());
        let mut builder = Builder::new(Limits::default());
        builder.layer(names.map(|name| chunked::Entry::new(chunked::EntryKind::Directory, name))).unwrap();
        builder.finish()
    }

    #[test]
    fn every_directory_is_done_once() {
        let tree = directories(1000);
        for jobs in [1, 2, 7] {
            let count = AtomicU32::new(0);
            let worker = || Counter { tree: &tree, count: &count, fails_at: None };
            run(NonZeroUsize::new(jobs).unwrap(), Tree::ROOT, worker).unwrap();
            assert_eq!(count.into_inner(), tree.node_count());
        }
    }

    #[test]
    fn a_failure_ends_the_work() {
        let tree = directories(1000);
        for fails_at in [0, 1, 500] {
            let count = AtomicU32::new(0);
            let worker = || Counter { tree: &tree, count: &count, fails_at: Some(fails_at) };
            run(NonZeroUsize::new(3).unwrap(), Tree::ROOT, worker).unwrap_err();
            assert!(count.into_inner() < fails_at + 4);
        }
    }
}
