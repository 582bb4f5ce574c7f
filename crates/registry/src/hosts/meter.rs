//! Measures links by what passes over them anyway.

use std::time::Duration;

use super::known::{Known, PARALLELISM};

/// Shorter bodies say nothing about bandwidth: they fit into what a connection sends before it hears back.
const BODY_LEN_MIN: u64 = 1 << 20;
/// Bytes that several connections move together before they say something.
const TOGETHER_LEN_MIN: u64 = 4 << 20;
/// Bytes that a body has to have for that, on average: with shorter ones the server or the distance sets the pace.
const TOGETHER_BODY_LEN_MIN: u64 = 256 << 10;
/// Shorter times are too much of a clock's and a scheduler's own.
const ELAPSED_MIN: Duration = Duration::from_millis(2);
/// Fewer ranges in a request are lost in the noise of a round trip.
const RANGES_MIN: usize = 8;

/// A body that has been read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passed {
    /// Ranges in its request.
    pub(super) ranges: usize,
    pub(super) len: u64,
    /// From its first byte to its last.
    pub(super) elapsed: Duration,
    /// The part of this time in which the reader waited for bytes.
    pub(super) waited: Duration,
    /// Other bodies that were read at the same time, now or earlier.
    pub(super) others: usize,
}

/// Bodies of one host that are read at the same time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Together {
    pub(super) len: u64,
    pub(super) elapsed: Duration,
    /// The waits of all of them.
    pub(super) waited: Duration,
    /// Most of them at once.
    pub(super) peak: usize,
    /// How many there were.
    pub(super) bodies: u64,
}

impl Known {
    /// Learns from a body.
    pub(super) fn measure(&mut self, passed: &Passed) {
        let seconds = passed.elapsed.as_secs_f64();
        if passed.elapsed < ELAPSED_MIN {
            return;
        }
        if passed.ranges >= RANGES_MIN {
            self.measure_ranges(passed, seconds);
        } else if passed.len >= BODY_LEN_MIN {
            let rate = passed.len as f64 / seconds;
            let link_was_the_limit = passed.others == 0 && waited_mostly(passed.waited, passed.elapsed);
            sample(&mut self.connection_bandwidth, rate, link_was_the_limit);
        }
    }

    /// Learns from bodies that came at the same time.
    pub(super) fn measure_together(&mut self, together: &Together) {
        let least = TOGETHER_LEN_MIN.max(together.bodies.saturating_mul(TOGETHER_BODY_LEN_MIN));
        if together.len < least || together.elapsed < ELAPSED_MIN {
            return;
        }
        let rate = together.len as f64 / together.elapsed.as_secs_f64();
        let waited = together.waited / u32::try_from(together.peak.max(1)).unwrap_or(u32::MAX);
        let link_was_the_limit = together.peak * 2 >= PARALLELISM && waited_mostly(waited, together.elapsed);
        sample(&mut self.bandwidth, rate, link_was_the_limit);
    }

    /// Takes what is left of the time after that which the bytes alone need.
    fn measure_ranges(&mut self, passed: &Passed, seconds: f64) {
        let link = self.abilities().link;
        let is_measured = self.connection_bandwidth.value().or(self.bandwidth.value()).is_some();
        if !is_measured || !waited_mostly(passed.waited, passed.elapsed) {
            return;
        }
        let share = (link.bandwidth / passed.others.saturating_add(1) as f64).min(link.connection_bandwidth);
        let rest = seconds - passed.len as f64 / share.max(1.0);
        self.per_range.time((rest / passed.ranges.saturating_sub(1).max(1) as f64).max(0.0));
    }
}

fn sample(estimate: &mut super::estimate::Estimate, rate: f64, is_exact: bool) {
    if is_exact { estimate.exact(rate) } else { estimate.at_least(rate) }
}

/// Tells whether the link was what took the time, and not the reader.
fn waited_mostly(waited: Duration, elapsed: Duration) -> bool {
    waited.saturating_mul(2) >= elapsed
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn passed(ranges: usize, len: u64, elapsed_ms: u64, waited_ms: u64, others: usize) -> Passed {
        let (elapsed, waited) = (Duration::from_millis(elapsed_ms), Duration::from_millis(waited_ms));
        Passed { ranges, len, elapsed, waited, others }
    }

    #[test]
    fn only_long_bodies_measure_bandwidth_and_slow_readers_only_from_below() {
        let mut known = Known::default();
        known.measure(&passed(1, MIB / 2, 100, 100, 0));
        known.measure(&passed(1, MIB, 1, 1, 0));
        assert_eq!(known.connection_bandwidth.value(), None);
        known.measure(&passed(1, 10_000_000, 1000, 900, 0));
        assert_eq!(known.connection_bandwidth.value(), Some(1e7));
        known.measure(&passed(1, 5_000_000, 1000, 100, 0));
        known.measure(&passed(1, 5_000_000, 1000, 900, 3));
        assert_eq!(known.connection_bandwidth.value(), Some(1e7));
        known.measure(&passed(1, 20_000_000, 1000, 0, 0));
        assert_eq!(known.connection_bandwidth.value(), Some(2e7));
        known.measure(&passed(1, 10_000_000, 1000, 1000, 0));
        assert_eq!(known.connection_bandwidth.value(), Some(1.7e7));
    }

    #[test]
    fn a_range_takes_what_the_bytes_do_not() {
        let mut known = Known::default();
        known.measure(&passed(101, 1_000_000, 170, 170, 0));
        assert_eq!(known.per_range.value(), None, "without a bandwidth nothing can be told apart");
        known.connection_bandwidth.exact(1e7);
        known.measure(&passed(101, 1_000_000, 170, 170, 0));
        let per_range = known.per_range.value().unwrap();
        assert!((per_range - 0.0007).abs() < 1e-9, "{per_range}");
        known.measure(&passed(101, 1_000_000, 50, 50, 0));
        assert!(known.per_range.value().unwrap() < per_range);
    }

    #[test]
    fn few_bodies_at_once_measure_a_link_only_from_below() {
        let mut known = Known::default();
        let together = |peak: usize, len| {
            let second = Duration::from_secs(1);
            Together { len, elapsed: second, waited: second * peak as u32, peak, bodies: peak as u64 }
        };
        known.measure_together(&Together { bodies: 200, ..together(8, 40 * MIB) });
        assert_eq!(known.bandwidth.value(), None, "200 short bodies are not about the link");
        known.measure_together(&together(8, 40 * MIB));
        known.measure_together(&together(2, 10 * MIB));
        assert_eq!(known.bandwidth.value(), Some(40.0 * MIB as f64));
        known.measure_together(&together(8, 30 * MIB));
        assert_eq!(known.bandwidth.value(), Some(37.0 * MIB as f64));
    }
}
