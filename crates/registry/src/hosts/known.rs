//! What is known of one host.

use std::time::Duration;

use chunked::{Abilities, Link, Ranges};

use super::estimate::Estimate;

/// What a host is taken to be able to do before it showed otherwise. nginx takes header lines of 8 KiB, and 380 ranges fit.
pub(crate) const OPTIMISTIC: Ranges = Ranges::Many { count: 380, header_len: HEADER_LEN_MAX };
/// The longest `Range` header that is ever sent.
pub(crate) const HEADER_LEN_MAX: usize = 7500;
/// Requests that run at once: more hardly ever gain anything, and servers limit them.
pub(crate) const PARALLELISM: usize = 8;
/// A `Range` header of this length is not refused for its length.
const MODEST_HEADER_LEN: usize = 1000;
/// What a link is taken to be before it was measured.
const UNMEASURED_ROUND_TRIP: Duration = Duration::from_millis(20);
/// 100 Mbit/s.
const UNMEASURED_BANDWIDTH: f64 = 12.5e6;

/// What is known of one host.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Known {
    /// The most it may be asked for.
    pub(crate) ranges: Ranges,
    /// Whether it answered as it was taken to, rather than not having been asked yet.
    pub(crate) is_confirmed: bool,
    /// The host that it last redirected to.
    pub(crate) leads_to: Option<String>,
    /// Seconds from a request to its answer.
    pub(crate) round_trip: Estimate,
    /// Bytes a second of all connections together.
    pub(crate) bandwidth: Estimate,
    /// Bytes a second of a connection that is alone.
    pub(crate) connection_bandwidth: Estimate,
    /// Seconds for each further range of a request.
    pub(crate) per_range: Estimate,
}

/// A request for ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    /// How many, at least one.
    pub(crate) ranges: usize,
    /// Bytes of the `Range` header's value.
    pub(crate) header_len: usize,
}

/// What came of a request for ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Served {
    /// All that was asked for.
    All,
    /// Only one of several ranges, or several in a form that cannot be read.
    Fewer,
    /// The whole blob.
    Whole,
    /// A status that says no.
    Refused(u16),
}

impl Default for Known {
    fn default() -> Self {
        Self {
            ranges: OPTIMISTIC,
            is_confirmed: false,
            leads_to: None,
            round_trip: Estimate::default(),
            bandwidth: Estimate::default(),
            connection_bandwidth: Estimate::default(),
            per_range: Estimate::default(),
        }
    }
}

impl Known {
    /// Learns from an answer.
    pub(crate) fn learn(&mut self, asked: Asked, served: Served) {
        match lesson(asked, served) {
            // One range says nothing about several.
            None => self.is_confirmed |= asked.ranges > 1 || self.ranges == Ranges::One,
            Some(most) => {
                self.ranges = narrower(self.ranges, most);
                self.is_confirmed = most == Ranges::None;
            }
        }
    }

    /// Returns what to plan with.
    pub(crate) fn abilities(&self) -> Abilities {
        let seconds =
            |estimate: Estimate| estimate.value().and_then(|value| Duration::try_from_secs_f64(value).ok());
        let single = self.connection_bandwidth.value();
        let bandwidth = self.bandwidth.value().into_iter().chain(single).reduce(f64::max);
        let is_known = bandwidth.is_some();
        let bandwidth = bandwidth.unwrap_or(UNMEASURED_BANDWIDTH);
        let link = Link {
            round_trip: seconds(self.round_trip).unwrap_or(UNMEASURED_ROUND_TRIP),
            bandwidth,
            connection_bandwidth: single.unwrap_or(bandwidth),
            per_range: seconds(self.per_range).unwrap_or(Duration::ZERO),
            is_known,
            is_shared: self.bandwidth.value().is_some(),
        };
        Abilities { ranges: self.ranges, parallelism: PARALLELISM, link }
    }
}

/// Says what a host can do at most, after an answer that was less than what was asked for.
fn lesson(asked: Asked, served: Served) -> Option<Ranges> {
    match (served, asked.ranges) {
        (Served::All, _) => None,
        (_, ..=1) => Some(Ranges::None),
        // Refusals of requests that are too long look like those of several ranges. Half of it may pass.
        (Served::Refused(400 | 413 | 414 | 431), count) if asked.header_len > MODEST_HEADER_LEN => {
            Some(Ranges::Many { count: count / 2, header_len: asked.header_len / 2 })
        }
        _ => Some(Ranges::One),
    }
}

/// Returns what both allow.
pub(super) fn narrower(left: Ranges, right: Ranges) -> Ranges {
    use Ranges::{Many, None, One};
    match (left, right) {
        (None, _) | (_, None) => None,
        (One, _) | (_, One) => One,
        (Many { count, header_len }, Many { count: other, header_len: other_len }) => {
            Many { count: count.min(other), header_len: header_len.min(other_len) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_narrow_what_is_asked_for() {
        let many = |count, header_len| Ranges::Many { count, header_len };
        let table = [
            ((380, 7500), Served::All, OPTIMISTIC),
            ((1, 15), Served::All, OPTIMISTIC),
            ((380, 7500), Served::Refused(400), many(190, 3750)),
            ((300, 6000), Served::Refused(431), many(150, 3000)),
            ((40, 800), Served::Refused(400), Ranges::One),
            ((2, 30), Served::Refused(416), Ranges::One),
            ((380, 7500), Served::Refused(501), Ranges::One),
            ((2, 30), Served::Whole, Ranges::One),
            ((2, 30), Served::Fewer, Ranges::One),
            ((1, 15), Served::Whole, Ranges::None),
            ((1, 15), Served::Refused(416), Ranges::None),
        ];
        for ((ranges, header_len), served, expected) in table {
            let mut known = Known::default();
            known.learn(Asked { ranges, header_len }, served);
            assert_eq!(known.ranges, expected, "{ranges} ranges, {served:?}");
        }
    }

    #[test]
    fn a_late_answer_widens_nothing() {
        let mut known = Known { ranges: Ranges::One, ..Known::default() };
        known.learn(Asked { ranges: 300, header_len: 6000 }, Served::Refused(400));
        known.learn(Asked { ranges: 300, header_len: 6000 }, Served::All);
        assert_eq!(known.ranges, Ranges::One);
    }

    #[test]
    fn a_host_that_takes_no_header_of_any_length_is_found_out_in_a_few_requests() {
        let mut known = Known::default();
        let mut requests = 0;
        while let Ranges::Many { count, header_len } = known.ranges {
            known.learn(Asked { ranges: count, header_len }, Served::Refused(400));
            requests += 1;
        }
        assert_eq!((known.ranges, requests), (Ranges::One, 4));
    }

    #[test]
    fn several_connections_have_at_least_what_one_has() {
        let mut known = Known::default();
        assert!(!known.abilities().link.is_known);
        known.bandwidth.exact(1e6);
        assert!(known.abilities().link.is_known);
        known.connection_bandwidth.exact(2e6);
        assert_eq!(known.abilities().link.bandwidth, 2e6);
    }
}
