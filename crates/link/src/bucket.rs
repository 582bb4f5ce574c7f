//! The narrow place of a link.

use std::time::{Duration, Instant};

/// How late a turn may be that is made up for.
const DEPTH: Duration = Duration::from_millis(4);

/// A token bucket. It keeps the time at which its debt is paid, and no tokens.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// Bytes a second.
    rate: f64,
    free_at: Option<Instant>,
}

impl Bucket {
    /// Lets `rate` bytes pass in a second; any number if that is infinite.
    pub fn new(rate: f64) -> Self {
        Self { rate, free_at: None }
    }

    /// Returns when more may pass, if not now.
    pub fn busy_until(&self, now: Instant) -> Option<Instant> {
        self.free_at.filter(|free_at| *free_at > now)
    }

    /// Takes note that there is nothing to send: what is sent later gets nothing for the time until then.
    pub fn idle(&mut self, now: Instant) {
        self.free_at = self.free_at.filter(|free_at| *free_at > now);
    }

    /// Takes `len` bytes, and returns when the last of them is through.
    pub fn take(&mut self, len: usize, now: Instant) -> Instant {
        let full = now.checked_sub(DEPTH).unwrap_or(now);
        let start = self.free_at.map_or(now, |free_at| free_at.max(full));
        // An infinite rate takes no time, one of nearly nothing a day for a slice.
        let seconds = (len as f64 / self.rate).clamp(0.0, 86_400.0);
        let free_at = start + Duration::from_secs_f64(seconds);
        self.free_at = Some(free_at);
        free_at.max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_their_time() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1_000.0);
        assert_eq!(bucket.busy_until(start), None);
        assert_eq!(bucket.take(100, start), start + Duration::from_millis(100));
        assert_eq!(bucket.busy_until(start), Some(start + Duration::from_millis(100)));
        assert_eq!(bucket.take(100, start), start + Duration::from_millis(200), "one after the other");
        assert_eq!(bucket.busy_until(start + Duration::from_millis(200)), None);
    }

    #[test]
    fn waking_late_is_made_up_for_and_idling_is_not() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1_000.0);
        let free_at = bucket.take(100, start);
        let late = free_at + Duration::from_millis(3);
        assert_eq!(bucket.take(100, late), free_at + Duration::from_millis(100));
        let later = start + Duration::from_secs(10);
        bucket.idle(later);
        assert_eq!(bucket.take(100, later), later + Duration::from_millis(100));
        bucket.idle(later);
        assert_eq!(bucket.busy_until(later), Some(later + Duration::from_millis(100)));
        let very_late = later + Duration::from_secs(1);
        assert_eq!(bucket.take(100, very_late), very_late + Duration::from_millis(96));
    }

    #[test]
    fn without_a_bound_nothing_takes_time() {
        let now = Instant::now();
        let mut bucket = Bucket::new(f64::INFINITY);
        assert_eq!(bucket.take(usize::MAX, now), now);
        assert_eq!(bucket.busy_until(now), None);
    }
}
