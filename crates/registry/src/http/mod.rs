//! HTTP as the rest of this crate needs it: the only sockets, the only redirects, the only retries.
//!
//! Outside everything blocks; inside one thread of tokio serves all connections. A request is sent until it is answered
//! with something else than "try again", within [`Retries`]; redirects are followed, without the credentials where they
//! lead to another host.

mod body;
mod client;
mod failure;
mod redact;
mod request;
mod retry;
mod tls;

pub(crate) use body::Body;
pub(crate) use client::{Http, Response};
pub use failure::{Failure, Reason};
pub use redact::Place;
pub(crate) use request::Request;
pub use retry::Retries;
pub use tls::{Identity, Tls, Verification};

#[cfg(test)]
mod tests;

use std::time::Duration;

/// How to speak HTTP.
#[derive(Debug, Clone)]
pub struct Options {
    /// Longest time until a connection stands.
    pub connect_timeout: Duration,
    /// Longest time without a byte: until an answer begins, and within its body.
    pub stall_timeout: Duration,
    /// When to give up.
    pub retries: Retries,
    /// Which proxies to use.
    pub proxies: Proxies,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            retries: Retries::default(),
            proxies: Proxies::default(),
        }
    }
}

/// The proxies, as `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` name them.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// For `http://`.
    pub http: Option<String>,
    /// For `https://`.
    pub https: Option<String>,
    /// Hosts, domains and networks that are reached directly, separated by commas. This machine always is.
    pub except: Option<String>,
}
