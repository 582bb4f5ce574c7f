//! Where the bytes of a blob come from.

use std::io::{self, Read};
use std::time::Duration;

use serde::Serialize;

use crate::range::BlobRange;

/// A blob that can be read from any offset: a slice, a file, a blob of an OCI layout, a registry's blob.
pub trait RangeSource {
    /// Returns the length of the whole blob in bytes.
    fn blob_len(&self) -> u64;

    /// Reads the bytes of `range`, and no others, in order.
    ///
    /// A range that reaches beyond the blob is an error of kind `UnexpectedEof`, now or while reading.
    fn read_range(&self, range: BlobRange) -> io::Result<Box<dyn Read + Send + '_>>;

    /// Reads several ranges, ascending and disjoint, in one request: their bytes one after another, and no others.
    ///
    /// An error of kind `Unsupported` says that the source takes fewer ranges in a request than asked for, and has
    /// learned it: [`RangeSource::abilities`] answers anew, and what is left can be planned again.
    fn read_ranges(&self, ranges: &[BlobRange]) -> io::Result<Box<dyn Read + Send + '_>> {
        let mut all: Box<dyn Read + Send + '_> = Box::new(io::empty());
        for range in ranges {
            all = Box::new(all.chain(self.read_range(*range)?));
        }
        Ok(all)
    }

    /// Says what the source can do, as far as it is known by now.
    fn abilities(&self) -> Abilities {
        Abilities::LOCAL
    }

    /// Counts what was asked for and what came so far.
    fn traffic(&self) -> Traffic {
        Traffic::default()
    }
}

/// What a source can do: how many ranges a request may have, and how many requests at once are worth it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Abilities {
    /// Ranges in a request.
    pub ranges: Ranges,
    /// Requests that may run at once, at least 1.
    pub parallelism: usize,
    /// What a request costs.
    pub link: Link,
}

/// How many ranges a request may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranges {
    /// Several, within bounds.
    Many {
        /// Most ranges in a request.
        count: usize,
        /// Most bytes of the `Range` header's value.
        header_len: usize,
    },
    /// One range in a request.
    One,
    /// None: only the whole blob can be had.
    None,
}

/// What requests to a source cost, measured or assumed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// Time from a request to the first byte of its answer.
    pub round_trip: Duration,
    /// Bytes a second that all connections have together.
    pub bandwidth: f64,
    /// Bytes a second that one connection has: the same, unless loss, latency or the server hold it back.
    pub connection_bandwidth: f64,
    /// What the server takes for each further range of a request.
    pub per_range: Duration,
    /// Whether somebody measured the bandwidth, or said it; otherwise it is assumed, good enough to choose between requests
    /// and no good to tell how long they take.
    pub is_known: bool,
    /// Whether `bandwidth` is that of several connections; otherwise several may have more.
    pub is_shared: bool,
}

impl Link {
    /// Takes a known link that one connection can fill, and several share, to a server that serves ranges at no cost.
    pub const fn new(round_trip: Duration, bandwidth: f64) -> Self {
        let per_range = Duration::ZERO;
        Self {
            round_trip,
            bandwidth,
            connection_bandwidth: bandwidth,
            per_range,
            is_known: true,
            is_shared: true,
        }
    }
}

impl Abilities {
    /// A source without a network in between: any range at no cost.
    pub const LOCAL: Self = Self {
        ranges: Ranges::One,
        parallelism: 1,
        link: Link { is_known: false, ..Link::new(Duration::ZERO, 1e10) },
    };
}

/// What was asked of a source, and what came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Traffic {
    /// Requests sent, redirects and retries included.
    pub requests: u64,
    /// Requests that were sent again because the first try failed.
    pub retries: u64,
    /// Bytes of bodies received, whether they were of use or not.
    pub bytes: u64,
}

impl RangeSource for [u8] {
    fn blob_len(&self) -> u64 {
        self.len() as u64
    }

    fn read_range(&self, range: BlobRange) -> io::Result<Box<dyn Read + Send + '_>> {
        let bounds = usize::try_from(range.start()).ok().zip(usize::try_from(range.end()).ok());
        match bounds.and_then(|(start, end)| self.get(start..end)) {
            Some(bytes) => Ok(Box::new(bytes)),
            None => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("bytes {range} reach beyond the blob of {} bytes", self.len()),
            )),
        }
    }
}

impl<S: RangeSource + ?Sized> RangeSource for &S {
    fn blob_len(&self) -> u64 {
        (**self).blob_len()
    }

    fn read_range(&self, range: BlobRange) -> io::Result<Box<dyn Read + Send + '_>> {
        (**self).read_range(range)
    }

    fn read_ranges(&self, ranges: &[BlobRange]) -> io::Result<Box<dyn Read + Send + '_>> {
        (**self).read_ranges(ranges)
    }

    fn abilities(&self) -> Abilities {
        (**self).abilities()
    }

    fn traffic(&self) -> Traffic {
        (**self).traffic()
    }
}
