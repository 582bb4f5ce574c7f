//! A blob in a registry, read in ranges.
//!
//! What a host cannot do shows in its answers and is remembered in [`Hosts`]. What breaks off is asked for again from the
//! first byte that is missing. What a server says of the blob's length is held against the descriptor; the bytes are
//! verified by whoever reads them.

mod ask;
mod reader;

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chunked::{Abilities, BlobDigest, BlobRange, RangeSource, Ranges, Traffic};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use self::ask::Stop;
pub(crate) use self::ask::header_value;
use self::reader::Reader;
use crate::client::{self, Repository};
use crate::descriptor::Descriptor;
use crate::error::Error;
use crate::hosts::Hosts;

/// A server that has blobs.
pub(crate) trait BlobServer: Send + Sync {
    /// Returns the registry that is asked first, as `address` or `address:port`.
    fn registry(&self) -> &str;

    /// Asks for a blob, or for what `range` says of it: the value of a `Range` header.
    ///
    /// Redirects, tokens and retries are dealt with until an answer begins.
    fn get(&self, digest: &BlobDigest, range: Option<&str>) -> Result<Answer, Error>;
}

impl BlobServer for &Repository {
    fn registry(&self) -> &str {
        self.host()
    }

    fn get(&self, digest: &BlobDigest, range: Option<&str>) -> Result<Answer, Error> {
        let client::Answer { status, host, headers, body, sent, retries, .. } =
            self.get_blob(digest, range)?;
        Ok(Answer { status, host, headers, body: Box::new(body), sent, retries })
    }
}

/// An answer that has begun.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// The host that has the bytes, after redirects.
    pub(crate) host: String,
    pub(crate) headers: HeaderMap,
    /// Ends with an error of kind `ConnectionAborted` or `TimedOut` where the connection does. Nothing is resumed.
    pub(crate) body: Box<dyn Read + Send>,
    /// Requests it took.
    pub(crate) sent: u64,
    /// Those of them that were sent because another one failed.
    pub(crate) retries: u64,
}

/// A blob in a registry.
#[derive(Debug)]
pub(crate) struct RemoteBlob<S> {
    server: S,
    digest: BlobDigest,
    len: u64,
    hosts: Hosts,
    traffic: Arc<Counters>,
    /// Time before a second try without any progress; it doubles with each further one.
    first_wait: Duration,
}

/// What was sent and received, by all threads.
#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    retries: AtomicU64,
    bytes: AtomicU64,
}

impl<S: BlobServer> RemoteBlob<S> {
    /// Takes the blob that `descriptor` describes. Nothing is sent yet.
    pub(crate) fn new(server: S, descriptor: &Descriptor, hosts: Hosts) -> Self {
        Self {
            server,
            digest: descriptor.digest,
            len: descriptor.len,
            hosts,
            traffic: Arc::default(),
            first_wait: Duration::from_millis(250),
        }
    }

    /// Opens ranges that are not empty.
    fn open(&self, ranges: Vec<BlobRange>) -> io::Result<Box<dyn Read + Send + '_>> {
        let beyond = |range: &&BlobRange| range.end() > self.len;
        if let Some(range) = ranges.iter().find(beyond) {
            let text = format!("bytes {range} reach beyond the blob of {} bytes", self.len);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        match Reader::start(self, ranges) {
            Ok(reader) => Ok(Box::new(reader)),
            Err(Stop::Failed(error) | Stop::Broken(error)) => Err(error),
            Err(Stop::Less) => Err(self.unsupported()),
        }
    }

    fn unsupported(&self) -> io::Error {
        let host = self.host();
        let text = match self.abilities().ranges {
            Ranges::None => format!("`{host}` serves blobs only as a whole"),
            Ranges::One => format!("`{host}` serves one range of a blob in a request"),
            Ranges::Many { count, .. } => {
                format!("`{host}` serves at most {count} ranges of a blob in a request")
            }
        };
        io::Error::new(io::ErrorKind::Unsupported, text)
    }

    /// Counts the ranges that a request may have: at least one.
    fn most_ranges(&self) -> usize {
        match self.abilities().ranges {
            Ranges::Many { count, header_len } => count.min(header_len / self.range_len_max()).max(1),
            Ranges::One => 1,
            Ranges::None => usize::MAX,
        }
    }

    /// Returns the bytes that a range takes in a header.
    fn range_len_max(&self) -> usize {
        2 * self.len.to_string().len() + "-,".len()
    }

    /// Returns the host that sends the bytes, as far as it is known.
    fn host(&self) -> String {
        self.hosts.behind(self.server.registry())
    }
}

impl<S: BlobServer> RangeSource for RemoteBlob<S> {
    fn blob_len(&self) -> u64 {
        self.len
    }

    fn read_range(&self, range: BlobRange) -> io::Result<Box<dyn Read + Send + '_>> {
        self.read_ranges(&[range])
    }

    fn read_ranges(&self, ranges: &[BlobRange]) -> io::Result<Box<dyn Read + Send + '_>> {
        match ranges.iter().copied().filter(|range| !range.is_empty()).collect::<Vec<_>>() {
            ranges if ranges.is_empty() => Ok(Box::new(io::empty())),
            ranges => self.open(ranges),
        }
    }

    fn abilities(&self) -> Abilities {
        self.hosts.abilities(&self.host())
    }

    fn traffic(&self) -> Traffic {
        let Counters { requests, retries, bytes } = &*self.traffic;
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Traffic { requests: load(requests), retries: load(retries), bytes: load(bytes) }
    }
}

#[cfg(test)]
mod tests;
