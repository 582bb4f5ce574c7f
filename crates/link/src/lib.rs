//! A network link of a given speed and distance, on the loopback interface.
//!
//! [`Link`] says what the link is like. [`Bucket`] and the delay queues of a connection decide what passes when; they are
//! told the time and never wait. [`Proxy`] carries connections by what they decide, in one thread.
//!
//! ```text
//!            take: at most a slice,              deliver: not before
//!            when the bucket is free             the slice is due
//!   server ───────────────────────► delay queue ────────────────────► client
//! ```
//!
//! Modeled are the bytes a second that all connections have together in each direction, or each for itself; the time of a
//! round trip, with jitter; the round trip that a new connection costs; and how many connections there may be. Not modeled
//! are loss, slow start and TLS handshakes.

mod bucket;
mod connect;
mod line;
mod pipe;
mod poll;
mod proxy;
mod text;

use std::num::NonZeroUsize;
use std::time::Duration;

pub use bucket::Bucket;
pub use connect::{HEAD_LEN_MAX, InvalidConnect, Target};
pub use proxy::{Counts, Proxy, Upstream};
pub use text::Invalid;

/// How long one slice occupies the link: short enough that connections share it evenly.
const SLICE: Duration = Duration::from_millis(1);

/// How fast and how far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// Bytes that all connections together pass in a second, in each direction.
    pub rate: f64,
    /// Time from a request to the first byte of its answer, and the time that it takes to connect.
    pub round_trip: Duration,
    /// A round trip takes up to this much longer. Bytes of a connection keep their order.
    pub jitter: Duration,
    /// Bytes that one connection passes in a second, in each direction, where that is less.
    pub connection_rate: Option<f64>,
    /// Most connections at once; further ones wait until one ends.
    pub connections: Option<NonZeroUsize>,
}

impl Link {
    /// The link that is none: bytes pass as they come.
    pub const NONE: Self = Self::new(f64::INFINITY, Duration::ZERO);

    /// Makes a link of `rate` bytes a second.
    pub const fn new(rate: f64, round_trip: Duration) -> Self {
        Self { rate, round_trip, jitter: Duration::ZERO, connection_rate: None, connections: None }
    }

    /// Makes a link of `megabits` a second, `milliseconds` away.
    pub fn of_megabits(megabits: u64, milliseconds: u64) -> Self {
        Self::new(megabits as f64 * 125_000.0, Duration::from_millis(milliseconds))
    }

    /// Returns how many bytes to pass on at once.
    pub fn slice_len(&self) -> usize {
        let rate = self.connection_rate.map_or(self.rate, |rate| rate.min(self.rate));
        // A float that is too large becomes the largest integer.
        ((SLICE.as_secs_f64() * rate) as usize).clamp(512, 256 << 10)
    }
}
