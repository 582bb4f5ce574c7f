//! Moves the bytes of one request from the source to the decoders.

use std::io::{self, Read};

use chunked::BlobRange;
use chunked::plan::Request;
use crossbeam_channel::Sender;

use super::Fetch;
use super::board::Board;
use super::decode;
use super::failure::Failure;
use super::needs::{Frame, SMALL_LEN_MAX};
use super::pool::Pool;

/// Decoded bytes that make a batch: fits into the second cache of a core, and is worth a hand-over.
const BATCH_LEN: u64 = 1 << 20;

/// Frames that are decoded together.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    /// The frames' bytes, one after another.
    pub(super) bytes: Vec<u8>,
    /// The frames, ascending, with where in `bytes` each ends.
    pub(super) frames: Vec<(&'a Frame, usize)>,
    /// Bytes they hold.
    pub(super) len: u64,
}

impl Batch<'_> {
    fn new(pool: &Pool) -> Self {
        Self { bytes: pool.take(), frames: Vec::new(), len: 0 }
    }
}

/// Reads the ranges of `request` and hands the frames in them to the decoders; the gaps are read and dropped.
pub(super) fn run<'p>(
    fetch: &'p Fetch<'_>,
    request: &Request,
    board: &Board,
    pool: &Pool,
    batches: &Sender<Batch<'p>>,
) -> Result<(), Failure> {
    let read = |source| Failure::Read { source };
    let mut body = Body { inner: fetch.source.read_ranges(&request.ranges).map_err(read)?, fetch, at: 0 };
    let mut batch = Batch::new(pool);
    // A batch that is under way goes to the decoders even when the rest of the request fails.
    let send = |batch: Batch<'p>| {
        let sent = batch.frames.is_empty() || batches.send(batch).is_ok();
        if sent { Ok(()) } else { Err(Failure::Stopped) }
    };
    for range in &request.ranges {
        body.at = range.start();
        for frame in fetch.needs.missing_in(*range) {
            let len = fetch.chunk(frame.id)?.file.len();
            if let Err(error) = body.skip_to(frame.range.start()) {
                send(batch)?;
                return Err(read(error));
            }
            if len > SMALL_LEN_MAX || frame.range.len() > 2 * SMALL_LEN_MAX {
                send(batch)?;
                batch = Batch::new(pool);
                decode::giant(fetch, frame, &mut body, board)?;
                continue;
            }
            let whole = batch.bytes.len();
            if let Err(error) = body.append(frame.range, &mut batch.bytes) {
                batch.bytes.truncate(whole);
                send(batch)?;
                return Err(read(error));
            }
            batch.frames.push((frame, batch.bytes.len()));
            batch.len = batch.len.saturating_add(len);
            if batch.len >= BATCH_LEN {
                send(batch)?;
                batch = Batch::new(pool);
            }
        }
        if let Err(error) = body.skip_to(range.end()) {
            send(batch)?;
            return Err(read(error));
        }
    }
    send(batch)
}

/// The bytes of an answer, with their place in the blob.
pub(super) struct Body<'p, 'a> {
    inner: Box<dyn Read + Send + 'p>,
    fetch: &'p Fetch<'a>,
    /// Place in the blob of the next byte.
    at: u64,
}

impl Body<'_, '_> {
    fn skip_to(&mut self, start: u64) -> io::Result<()> {
        let gap = start.saturating_sub(self.at);
        if gap > 0 {
            let skipped = io::copy(&mut self.by_ref().take(gap), &mut io::sink())?;
            if skipped != gap {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
        }
        Ok(())
    }

    fn append(&mut self, range: BlobRange, bytes: &mut Vec<u8>) -> io::Result<()> {
        let count = self.by_ref().take(range.len()).read_to_end(bytes)?;
        if count as u64 == range.len() { Ok(()) } else { Err(io::ErrorKind::ConnectionAborted.into()) }
    }
}

impl Read for Body<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.at = self.at.saturating_add(count as u64);
        self.fetch.progress.came(count as u64);
        Ok(count)
    }
}
