//! How fast bytes come, over one connection and over several.

use std::io::{self, Read};
use std::thread;
use std::time::{Duration, Instant};

use chunked::{BlobRange, RangeSource, Ranges};
use serde::Serialize;

use super::{Options, Probe, seconds};
use crate::hosts::PARALLELISM;
use crate::remote::RemoteBlob;

/// Shorter blobs are not worth several connections.
const PARALLEL_LEN_MIN: u64 = 4 << 20;

/// Bytes that came in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Throughput {
    /// Connections that were used at once.
    pub connections: usize,
    /// Bytes that came.
    pub bytes: u64,
    /// The time it took, with that of the requests.
    #[serde(serialize_with = "seconds", rename = "seconds")]
    pub elapsed: Duration,
}

impl Probe<'_> {
    /// Reads the start of the blob, and again in pieces side by side where that can be done.
    pub(super) fn throughput(&self, options: &Options) -> io::Result<(Throughput, Option<Throughput>)> {
        let blob = RemoteBlob::new(self.repository, self.layer, self.hosts.clone());
        let len = blob.blob_len().min(options.bytes);
        let limit = Duration::from_secs(options.seconds);
        let stream = read(&blob, &[BlobRange::saturating(0, len)], limit)?;
        if len < PARALLEL_LEN_MIN || blob.abilities().ranges == Ranges::None {
            return Ok((stream, None));
        }
        let piece = len.div_ceil(PARALLELISM as u64);
        let pieces: Vec<_> = (0..PARALLELISM as u64)
            .filter_map(|number| BlobRange::new(number * piece, len.min((number + 1) * piece)))
            .collect();
        Ok((stream, Some(read(&blob, &pieces, limit)?)))
    }
}

/// Reads pieces side by side until they are there, or the time is over.
fn read(blob: &(impl RangeSource + Sync), pieces: &[BlobRange], limit: Duration) -> io::Result<Throughput> {
    let start = Instant::now();
    let bytes = thread::scope(|scope| {
        let readers: Vec<_> =
            pieces.iter().map(|piece| scope.spawn(|| read_until(blob, *piece, start + limit))).collect();
        readers.into_iter().try_fold(0_u64, |sum, reader| {
            let count = reader.join().map_err(|_| io::Error::other("a thread that reads has panicked"))??;
            Ok::<_, io::Error>(sum.saturating_add(count))
        })
    })?;
    Ok(Throughput { connections: pieces.len(), bytes, elapsed: start.elapsed() })
}

fn read_until(blob: &impl RangeSource, piece: BlobRange, end: Instant) -> io::Result<u64> {
    let mut body = blob.read_range(piece)?;
    let mut buffer = vec![0; 64 << 10];
    let mut sum: u64 = 0;
    while Instant::now() < end {
        match body.read(&mut buffer)? {
            0 => break,
            count => sum = sum.saturating_add(count as u64),
        }
    }
    Ok(sum)
}
