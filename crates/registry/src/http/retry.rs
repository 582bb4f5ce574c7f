//! When to try again.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// How often and how long a request is tried again.
#[derive(Debug, Clone)]
pub struct Retries {
    /// Most tries after the first.
    pub count: u32,
    /// Longest wait before the second try; it doubles with each further one.
    pub first_wait: Duration,
    /// Longest wait before any try, unless the server asks for a longer one.
    pub longest_wait: Duration,
    /// Longest time spent waiting for one answer, all tries together.
    pub total_wait: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            count: 5,
            first_wait: Duration::from_millis(250),
            longest_wait: Duration::from_secs(10),
            total_wait: Duration::from_secs(60),
        }
    }
}

/// Counts the tries of one request.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    limits: Retries,
    tried: u32,
    waited: Duration,
}

impl Backoff {
    pub(crate) fn new(limits: &Retries) -> Self {
        Self { limits: limits.clone(), tried: 0, waited: Duration::ZERO }
    }

    /// Returns how often it was tried again so far.
    pub(crate) fn tried(&self) -> u32 {
        self.tried
    }

    /// Waits before the next try, at least as long as the server `asks`; `false` when it is time to give up.
    pub(crate) fn wait(&mut self, asks: Option<Duration>) -> bool {
        let Some(wait) = self.next(asks, random()) else { return false };
        std::thread::sleep(wait);
        true
    }

    /// Chooses a wait between nothing and twice the last limit, so that many clients that failed at once do not come back
    /// at once.
    fn next(&mut self, asks: Option<Duration>, random: f64) -> Option<Duration> {
        let limits = &self.limits;
        let factor = 1_u32.checked_shl(self.tried).unwrap_or(u32::MAX);
        let longest = limits.first_wait.saturating_mul(factor).min(limits.longest_wait);
        let wait = asks.unwrap_or_default().saturating_add(longest.mul_f64(random.clamp(0.0, 1.0)));
        let waited = self.waited.saturating_add(wait);
        if self.tried >= limits.count || waited > limits.total_wait {
            return None;
        }
        self.tried = self.tried.saturating_add(1);
        self.waited = waited;
        Some(wait)
    }
}

/// Tells statuses that may be another one soon. A server that does not implement something never will.
pub(super) fn is_transient(status: StatusCode) -> bool {
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => false,
        _ => status.is_server_error(),
    }
}

/// Reads `Retry-After`: seconds, or a date (RFC 9110 §10.2.3).
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = OffsetDateTime::parse(text, &Rfc2822).ok()?;
    Some(SystemTime::from(date).duration_since(now).unwrap_or_default())
}

/// Returns a number from 0 to 1. The keys of hash maps are random enough to keep clients apart.
fn random() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 32;
    bits as f64 / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn backoff(count: u32, total_wait: u64) -> Backoff {
        let total_wait = Duration::from_secs(total_wait);
        Backoff::new(&Retries { count, total_wait, ..Retries::default() })
    }

    #[test]
    fn waits_double_up_to_a_limit_and_end() {
        let mut backoff = backoff(8, 1000);
        let waits: Vec<_> =
            std::iter::from_fn(|| backoff.next(None, 1.0)).map(|wait| wait.as_millis()).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
        assert_eq!(backoff.tried(), 8);
    }

    #[test]
    fn the_server_is_waited_for_unless_that_takes_too_long() {
        let asks = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(backoff(3, 60).next(asks(20), 0.0), asks(20));
        assert_eq!(backoff(3, 60).next(asks(61), 0.0), None);
        assert_eq!(backoff(3, 60).next(asks(u64::MAX), 1.0), None);
        let mut twice = backoff(3, 60);
        assert!(twice.next(asks(40), 0.0).is_some() && twice.next(asks(40), 0.0).is_none());
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(text).unwrap());
            retry_after(&headers, now).map(|wait| wait.as_secs())
        };
        assert_eq!(read("120"), Some(120));
        assert_eq!(read("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(read("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        for text in ["", "-1", "soon", "1.5", "99999999999999999999999"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn statuses_that_pass_are_told_from_those_that_stay() {
        let cases =
            [(408, true), (429, true), (500, true), (503, true), (501, false), (403, false), (416, false)];
        for (status, transient) in cases {
            assert_eq!(is_transient(StatusCode::from_u16(status).unwrap()), transient, "{status}");
        }
    }
}
