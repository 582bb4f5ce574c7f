use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use chunked::Class;

use super::failure::Failure;

/// Ends the requests of a round when one of them fails, or when the whole pull does.
///
/// What has come is decoded all the same: it need not come again.
#[derive(Debug)]
pub(super) struct Halt<'a> {
    pull: &'a AtomicBool,
    first: Mutex<Option<Failure>>,
    /// No request is started any more.
    is_closed: AtomicBool,
    /// Those under way end as well.
    is_now: AtomicBool,
}

impl<'a> Halt<'a> {
    /// Also halts when `pull` becomes true.
    pub(super) fn new(pull: &'a AtomicBool) -> Self {
        Self {
            pull,
            first: Mutex::default(),
            is_closed: AtomicBool::new(false),
            is_now: AtomicBool::new(false),
        }
    }

    /// Takes note of how a piece of work ended.
    pub(super) fn keep(&self, result: Result<(), Failure>) {
        let Err(error) = result else { return };
        // A source that can do less than thought still answers what it was asked rightly.
        let is_now = error.class() != Class::Unsupported;
        self.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.is_closed.store(true, Ordering::Relaxed);
        self.is_now.fetch_or(is_now, Ordering::Relaxed);
    }

    /// Tells whether no request may be started any more.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed) || self.pull.load(Ordering::Relaxed)
    }

    /// Fails when what is under way is to end.
    pub(super) fn check(&self) -> Result<(), Failure> {
        match self.is_now.load(Ordering::Relaxed) || self.pull.load(Ordering::Relaxed) {
            true => Err(Failure::Stopped),
            false => Ok(()),
        }
    }

    /// Returns the first failure.
    pub(super) fn into_result(self) -> Result<(), Failure> {
        match self.first.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None if self.pull.load(Ordering::Relaxed) => Err(Failure::Stopped),
            None => Ok(()),
        }
    }
}
