//! The blobs that are on their way to clients: how many at once, and whether they get anywhere.
//!
//! Over HTTP/2 a client opens many streams on one connection, and says for each how much it takes. One that takes nothing, and
//! answers pings, would keep a file and a buffer for each of them for ever, as nothing is written that could wait too long.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};

/// Most blobs at once, each of which is an open file. No more than there may be connections, so that those with one request at
/// a time never wait here.
pub(crate) const BODIES_MAX: usize = 448;
/// How long a request waits until another one has ended.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// How long nothing of a blob may be taken. What is taken at once may be 256 KiB, and a slow link may have many to carry, so
/// this is longer than a peer may take nothing at all.
const STALL_MAX: Duration = Duration::from_secs(180);
/// Between two looks for such.
const TICK: Duration = Duration::from_secs(5);

/// The bodies of one connection, and when something was last taken of each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sending(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    last: HashMap<u64, Instant>,
}

/// The right to send a body, until it is dropped.
#[derive(Debug)]
pub(crate) struct Sent {
    sending: Sending,
    number: u64,
    _place: OwnedSemaphorePermit,
}

impl Sending {
    /// Waits until a body can be sent; `None` when that takes too long.
    pub(crate) async fn begin(&self, places: &Arc<Semaphore>) -> Option<Sent> {
        let place = timeout(WAIT_MAX, Arc::clone(places).acquire_owned()).await.ok()?.ok()?;
        let mut taken = self.taken();
        let number = taken.next;
        taken.next = number.wrapping_add(1);
        taken.last.insert(number, Instant::now());
        drop(taken);
        Some(Sent { sending: self.clone(), number, _place: place })
    }

    /// Returns once nothing of a body was taken for too long.
    pub(crate) async fn stalled(&self) {
        let is_old = |last: &Instant| last.elapsed() > STALL_MAX;
        while !self.taken().last.values().any(is_old) {
            sleep(TICK).await;
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sent {
    /// Takes note that more is wanted.
    pub(crate) fn goes_on(&self) {
        if let Some(last) = self.sending.taken().last.get_mut(&self.number) {
            *last = Instant::now();
        }
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.sending.taken().last.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn there_are_so_many_at_once() {
        let (sending, places) = (Sending::default(), Arc::new(Semaphore::new(1)));
        let first = sending.begin(&places).await.unwrap();
        assert!(sending.begin(&places).await.is_none());
        drop(first);
        assert!(sending.begin(&places).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_has_to_go_on() {
        let (sending, places) = (Sending::default(), Arc::new(Semaphore::new(2)));
        let body = sending.begin(&places).await.unwrap();
        for _ in 0..5 {
            assert!(timeout(STALL_MAX / 2, sending.stalled()).await.is_err());
            body.goes_on();
        }
        assert!(timeout(STALL_MAX * 2, sending.stalled()).await.is_ok());
        drop(body);
        assert!(timeout(STALL_MAX * 2, sending.stalled()).await.is_err(), "nothing is sent any more");
    }
}
