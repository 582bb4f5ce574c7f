//! A network link of a given speed and distance, on the loopback interface.
//!
//! Modeled are the time a round trip takes, the round trip that a new connection costs, and the bytes a second that all
//! connections have together. Not modeled are loss, slow start and TLS handshakes.

mod pacer;
mod proxy;

use std::time::Duration;

pub(crate) use pacer::Pacer;
pub use proxy::Proxy;

/// How fast and how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Bits that all connections together pass in a second, in each direction.
    pub bits_per_second: u64,
    /// Time from a request to the first byte of its answer.
    pub round_trip: Duration,
}

impl Link {
    /// Makes a link of `megabits` a second, `milliseconds` away.
    pub fn new(megabits: u64, milliseconds: u64) -> Self {
        Self { bits_per_second: megabits * 1_000_000, round_trip: Duration::from_millis(milliseconds) }
    }

    /// Returns how long `len` bytes occupy the link.
    fn time_of(self, len: usize) -> Duration {
        Duration::from_secs_f64(len as f64 * 8.0 / self.bits_per_second as f64)
    }
}

/// Starts a proxy on a free port of the loopback interface: what goes through it to `upstream`, an `address:port`,
/// goes over `link`.
///
/// # Panics
///
/// When there is no free port.
pub fn proxy(upstream: &str, link: Link) -> Proxy {
    Proxy::start(upstream, link)
}
