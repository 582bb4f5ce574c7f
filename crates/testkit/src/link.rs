//! A network link of a given speed and distance, on the loopback interface: for the scripted registry, whose waiting it does,
//! and as a proxy for any other server.

use std::net::ToSocketAddrs;
use std::sync::Mutex;
use std::thread::sleep;
use std::time::Instant;

use ::link::{Bucket, Upstream};
pub use ::link::{Link, Proxy};

/// Starts a proxy on a free port of the loopback interface: what goes through it to `upstream`, an `address:port`,
/// goes over `link`.
///
/// # Panics
///
/// When there is no free port, or no such address.
pub fn proxy(upstream: &str, link: Link) -> Proxy {
    let address = upstream.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    let upstream = Upstream::Server(address.expect("the server has an address"));
    Proxy::start(upstream, link).expect("there is a free port")
}

/// One direction of a link, shared by all connections of a server. Without a link nothing waits.
#[derive(Debug)]
pub(crate) struct Pacer {
    link: Link,
    bucket: Mutex<Bucket>,
}

impl Pacer {
    pub(crate) fn new(link: Option<Link>) -> Self {
        let link = link.unwrap_or(Link::NONE);
        Self { link, bucket: Mutex::new(Bucket::new(link.rate)) }
    }

    /// Waits for as long as a round trip takes.
    pub(crate) fn round_trip(&self) {
        if !self.link.round_trip.is_zero() {
            sleep(self.link.round_trip);
        }
    }

    /// Returns how many bytes to send at once.
    pub(crate) fn slice(&self) -> usize {
        self.link.slice_len()
    }

    /// Waits until `len` more bytes have passed.
    pub(crate) fn pass(&self, len: usize) {
        let now = Instant::now();
        let through = self.bucket.lock().expect("no pacer panics").take(len, now);
        if through > now {
            sleep(through.saturating_duration_since(Instant::now()));
        }
    }
}
