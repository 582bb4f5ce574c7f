//! Several threads at one list of work.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::error::Error;

/// Does `work` on every item, with a thread for each of `workers`, and returns the results in the order of the items.
///
/// # Errors
/// The first failure; what others began is finished, and nothing more is begun.
pub(super) fn each<W: Send, T: Sync, R: Send>(
    workers: &mut [W],
    items: &[T],
    work: impl Fn(&mut W, &T) -> Result<R, Error> + Sync,
) -> Result<Vec<R>, Error> {
    let shared = Shared { next: AtomicUsize::new(0), items, done: Mutex::default() };
    let wanted = workers.len().min(items.len());
    match workers.get_mut(..wanted).unwrap_or_default() {
        [] => {}
        [only] => shared.drain(only, &work),
        several => thread::scope(|scope| {
            for worker in several {
                scope.spawn(|| shared.drain(worker, &work));
            }
        }),
    }
    let Done { mut results, failure } = shared.done.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(failure) = failure {
        return Err(failure);
    }
    results.sort_by_key(|(position, _)| *position);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

struct Shared<'a, T, R> {
    next: AtomicUsize,
    items: &'a [T],
    done: Mutex<Done<R>>,
}

struct Done<R> {
    results: Vec<(usize, R)>,
    failure: Option<Error>,
}

impl<R> Default for Done<R> {
    fn default() -> Self {
        Self { results: Vec::new(), failure: None }
    }
}

impl<T, R> Shared<'_, T, R> {
    fn drain<W>(&self, worker: &mut W, work: &impl Fn(&mut W, &T) -> Result<R, Error>) {
        while self.done().failure.is_none() {
            let position = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = self.items.get(position) else { break };
            match work(worker, item) {
                Ok(result) => self.done().results.push((position, result)),
                Err(error) => {
                    self.done().failure.get_or_insert(error);
                }
            }
        }
    }

    fn done(&self) -> MutexGuard<'_, Done<R>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order_and_a_failure_ends_the_work() {
        let items: Vec<usize> = (0..100).collect();
        for workers in [1, 4] {
            let doubled = each(&mut vec![(); workers], &items, |(), item| Ok(item * 2)).unwrap();
            assert_eq!(doubled, items.iter().map(|item| item * 2).collect::<Vec<_>>());
            let begun = AtomicUsize::new(0);
            let failed = each(&mut vec![(); workers], &items, |(), item| {
                begun.fetch_add(1, Ordering::Relaxed);
                if *item == 3 { Err(Error::FileTooLong { path: "x".into(), limit: 0 }) } else { Ok(()) }
            });
            assert!(failed.is_err());
            assert!(begun.into_inner() < 100);
        }
        assert!(each(&mut [()], &[] as &[usize], |(), _| Ok(())).unwrap().is_empty());
    }
}
