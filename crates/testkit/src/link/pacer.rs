//! The token bucket of a link.

use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Link;

/// How far the bucket fills while nobody sends. It also makes up for sleeping too long.
const DEPTH: Duration = Duration::from_millis(4);

/// How long one slice occupies the link: short enough that connections share it evenly.
const SLICE: Duration = Duration::from_millis(1);

/// One direction of a link, shared by all its connections. Without a link nothing waits.
#[derive(Debug)]
pub(crate) struct Pacer {
    link: Option<Link>,
    free_at: Mutex<Instant>,
}

impl Pacer {
    pub(crate) fn new(link: Option<Link>) -> Self {
        Self { link, free_at: Mutex::new(Instant::now()) }
    }

    /// Waits for as long as a round trip takes.
    pub(crate) fn round_trip(&self) {
        if let Some(link) = self.link {
            sleep(link.round_trip);
        }
    }

    /// Returns how many bytes to send at once.
    pub(crate) fn slice(&self) -> usize {
        let bytes = |link: Link| SLICE.as_secs_f64() * link.bits_per_second as f64 / 8.0;
        self.link.map_or(64 << 10, |link| (bytes(link) as usize).clamp(512, 256 << 10))
    }

    /// Waits until `len` more bytes have passed.
    pub(crate) fn pass(&self, len: usize) {
        let Some(link) = self.link else { return };
        let gone = self.reserve(link.time_of(len));
        sleep(gone.saturating_duration_since(Instant::now()));
    }

    fn reserve(&self, time: Duration) -> Instant {
        let mut free_at = self.free_at.lock().expect("no pacer panics");
        let now = Instant::now();
        let full = now.checked_sub(DEPTH).unwrap_or(now);
        *free_at = (*free_at).max(full) + time;
        *free_at
    }
}
