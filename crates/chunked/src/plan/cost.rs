//! What fetching costs.
//!
//! With `n` requests for `r` ranges over `c` connections:
//!
//! ```text
//! seconds = round_trip * max(1, n / c) + per_range * (r - n) / c + bytes / rate(c)
//! rate(c) = min(connection_bandwidth * c, bandwidth)
//! ```
//!
//! It takes waiting and receiving as if they never overlapped, which makes many small requests look a little worse than
//! they are, and a plain stream never.

use std::time::Duration;

use super::Request;
use crate::source::{Abilities, Link, Ranges};

/// Bytes around a part of a multipart answer: nginx sends 105, docker-registry 159.
const PART_LEN: u64 = 160;
/// Bytes of the head of an answer.
const HEAD_LEN: u64 = 500;
/// A piece has at least this many bytes: as short as slow start makes it, a transfer has got going by then.
const PIECE_LEN_MIN: u64 = 1 << 20;
/// A piece has at most this many bytes, so that what waits for an earlier one stays small. A multiple of the round trip
/// may ask for more.
const PIECE_LEN_MAX: u64 = 16 << 20;
/// A piece takes at least this many round trips, or the connection would mostly wait.
const PIECE_ROUND_TRIPS: f64 = 8.0;

/// Compressed bytes a second that a pull takes in at most, as one thread hashes the tar.
const INTAKE: f64 = 250e6;
/// Requests that come one after another may take longer by this share than those that come at once.
const WORTH_ORDER: f64 = 0.01;

/// The costs of one source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// At least 1.
    pub(super) ranges_per_request: usize,
    /// At least 1.
    pub(super) connections: usize,
    /// Seconds.
    round_trip: f64,
    /// Seconds for each further range of a request.
    per_range: f64,
    /// Bytes a second.
    bandwidth: f64,
    /// Bytes a second.
    connection_bandwidth: f64,
    is_shared: bool,
}

/// What a plan asks for, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) requests: usize,
    pub(super) ranges: usize,
    pub(super) len: u64,
}

impl Work {
    pub(super) fn of(requests: &[Request]) -> Self {
        let ranges = || requests.iter().flat_map(|request| &request.ranges);
        let len = ranges().fold(0, |sum: u64, range| sum.saturating_add(range.len()));
        Self { requests: requests.len(), ranges: ranges().count(), len }
    }
}

impl Cost {
    /// Takes the costs of a source; `end` is the largest offset that a range can have.
    pub(super) fn new(abilities: &Abilities, end: u64) -> Self {
        let Link { round_trip, bandwidth, connection_bandwidth, per_range, is_shared, .. } = abilities.link;
        let bandwidth = rate(bandwidth);
        Self {
            ranges_per_request: ranges_per_request(abilities.ranges, end),
            connections: abilities.parallelism.max(1),
            round_trip: round_trip.as_secs_f64(),
            per_range: per_range.as_secs_f64(),
            bandwidth,
            connection_bandwidth: rate(connection_bandwidth).min(bandwidth),
            is_shared,
        }
    }

    /// Returns how many requests at once are worth it: what comes in order is hashed while it is in memory, and is not read
    /// again. Where nobody knows what several connections have together, as many as there may be find it out.
    pub(super) fn at_once(&self, work: Work) -> usize {
        let most = self.most_at_once(work);
        if !self.is_shared && self.connection_bandwidth < INTAKE {
            return most;
        }
        let seconds =
            |connections| self.seconds(work, connections, self.rate(connections as f64).min(INTAKE));
        let enough = seconds(most) * (1.0 + WORTH_ORDER);
        (1..most).find(|connections| seconds(*connections) <= enough).unwrap_or(most)
    }

    /// Estimates how long it takes.
    pub(super) fn time(&self, work: Work) -> Duration {
        let connections = self.most_at_once(work);
        let seconds = self.seconds(work, connections, self.rate(connections as f64));
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    fn most_at_once(&self, work: Work) -> usize {
        work.requests.clamp(1, self.connections)
    }

    fn seconds(&self, work: Work, connections: usize, rate: f64) -> f64 {
        let connections = connections as f64;
        let waits = self.round_trip * (work.requests as f64 / connections).max(1.0);
        let seeks = self.per_range * work.ranges.saturating_sub(work.requests) as f64 / connections;
        let heads = HEAD_LEN.saturating_mul(work.requests as u64);
        let parts = if work.ranges > work.requests { PART_LEN.saturating_mul(work.ranges as u64) } else { 0 };
        let len = work.len.saturating_add(heads).saturating_add(parts);
        waits + seeks + len as f64 / rate
    }

    /// Returns the length up to which a gap takes no longer to fetch than a range takes to ask for.
    pub(super) fn gap_worth(&self) -> u64 {
        let connections = self.connections as f64;
        let requests = 1.0 / self.ranges_per_request as f64;
        let seconds = self.round_trip * requests + self.per_range * (1.0 - requests);
        let overhead = if self.ranges_per_request > 1 { PART_LEN } else { HEAD_LEN };
        // A float that is too large becomes the largest integer.
        ((seconds / connections * self.rate(connections)) as u64).saturating_add(overhead)
    }

    /// Returns the bytes that come with a range in a request with several.
    pub(super) fn part_len(&self) -> u64 {
        if self.ranges_per_request > 1 { PART_LEN } else { 0 }
    }

    /// Returns the bytes that a connection could have moved in the time that a further range takes.
    pub(super) fn range_weight(&self) -> u64 {
        ((self.per_range * self.connection_bandwidth) as u64).saturating_add(self.part_len())
    }

    /// Tells whether several connections have more bandwidth than one.
    pub(super) fn is_faster_together(&self) -> bool {
        self.rate(self.connections as f64) > self.connection_bandwidth
    }

    /// Returns the length of pieces that load `connections` evenly with `len` bytes.
    pub(super) fn piece_len(&self, connections: usize, len: u64) -> u64 {
        let connections = connections.max(1) as u64;
        let rate = self.rate(connections as f64) / connections as f64;
        let min = PIECE_LEN_MIN.max((PIECE_ROUND_TRIPS * self.round_trip * rate) as u64);
        let max = PIECE_LEN_MAX.max(min);
        let rounds = len.div_ceil(max.saturating_mul(connections)).max(1);
        len.div_ceil(rounds.saturating_mul(connections)).clamp(min, max)
    }

    fn rate(&self, connections: f64) -> f64 {
        (self.connection_bandwidth * connections).min(self.bandwidth)
    }
}

/// Counts the ranges that a request may have when offsets are up to `end`.
fn ranges_per_request(ranges: Ranges, end: u64) -> usize {
    let Ranges::Many { count, header_len } = ranges else { return 1 };
    let digits = end.checked_ilog10().unwrap_or(0) as usize + 1;
    // `bytes=` once, and `first-last,` for each, whose last comma is not there.
    let fitting = header_len.saturating_sub("bytes=".len() - 1) / (2 * digits + 2);
    count.min(fitting).max(1)
}

/// Makes a bandwidth one that can be divided by.
fn rate(bandwidth: f64) -> f64 {
    if bandwidth.is_nan() { 1.0 } else { bandwidth.clamp(1.0, 1e15) }
}
