//! Requests that were not answered.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

use chunked::Class;
use reqwest::StatusCode;

use super::redact::Place;
use crate::error::shorten;

/// Why a request has no answer that could be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// No connection could be made.
    #[error("cannot connect to `{place}`")]
    Connect {
        /// Where to.
        place: Place,
        /// The cause.
        source: Reason,
    },
    /// The server's certificate is not trusted.
    #[error("the certificate of `{place}` is not trusted")]
    Certificate {
        /// Whose.
        place: Place,
        /// The cause.
        source: Reason,
    },
    /// The server does not speak TLS.
    #[error("`{place}` does not answer in TLS")]
    NotTls {
        /// Where.
        place: Place,
        /// The cause.
        source: Reason,
    },
    /// The connection ended before the answer did, or what came is not HTTP.
    #[error("no answer from `{place}`")]
    Broken {
        /// Where from.
        place: Place,
        /// The cause.
        source: Reason,
    },
    /// The server says nothing.
    #[error("no answer from `{place}` within {} seconds", limit.as_secs())]
    Stalled {
        /// Where from.
        place: Place,
        /// The time waited.
        limit: Duration,
    },
    /// The server is busy or broken, and did not recover in the time there is.
    #[error("`{place}` answers {status}, also when tried {tried} more times")]
    Unavailable {
        /// Where.
        place: Place,
        /// The last answer.
        status: StatusCode,
        /// Tries after the first.
        tried: u32,
    },
    /// The server leads nowhere.
    #[error("`{place}` redirects {}", shorten(target))]
    Redirect {
        /// Where.
        place: Place,
        /// What is wrong with the way it points.
        target: String,
    },
    /// The machine's certificates or keys for a host cannot be used.
    #[error("cannot use the certificates for `{place}`")]
    Certificates {
        /// For which request.
        place: Place,
        /// The cause.
        source: Reason,
    },
    /// The request cannot be sent at all.
    #[error("cannot send a request to `{place}`")]
    Unsendable {
        /// Where to.
        place: Place,
        /// The cause.
        source: Reason,
    },
}

impl Failure {
    /// Says what the failure means to the caller.
    pub fn class(&self) -> Class {
        match self {
            Self::Connect { .. } | Self::Broken { .. } | Self::Stalled { .. } => Class::Transient,
            Self::Unavailable { .. } => Class::Transient,
            Self::Certificate { .. } => Class::Denied,
            Self::NotTls { .. } | Self::Redirect { .. } => Class::Unsupported,
            Self::Certificates { .. } | Self::Unsendable { .. } => Class::Local,
        }
    }

    pub(super) fn of(error: &reqwest::Error, place: Place) -> Self {
        let source = Reason::of(error);
        match tls_error(error) {
            Some(rustls::Error::InvalidCertificate(_)) => return Self::Certificate { place, source },
            Some(rustls::Error::InvalidMessage(_)) => return Self::NotTls { place, source },
            Some(_) => return Self::Connect { place, source },
            None => {}
        }
        match () {
            () if error.is_connect() => Self::Connect { place, source },
            () if error.is_builder() => Self::Unsendable { place, source },
            () => Self::Broken { place, source },
        }
    }
}

/// The innermost cause of a failure, in words. What wraps it repeats URLs with their secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    pub(super) fn of(error: &(dyn StdError + 'static)) -> Self {
        let last = causes(error).last().map(ToString::to_string).unwrap_or_default();
        Self(shorten(&last))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Reason {}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| inner(*error))
}

/// Returns what is behind an error; I/O errors hide theirs.
fn inner<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    let within = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    match within {
        Some(within) => Some(within),
        None => error.source(),
    }
}

fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    causes(error).find_map(|cause| cause.downcast_ref())
}
