//! Moves the bytes of one request from the source to the decoders.

use std::io::{self, Read};
use std::mem;
use std::time::{Duration, Instant};

use chunked::plan::Request;
use crossbeam_channel::Sender;

use super::Fetch;
use super::board::Board;
use super::failure::Failure;
use super::giant::giant;
use super::halt::Halt;
use super::needs::{Frame, SMALL_LEN_MAX};
use super::pool::Pool;
use super::run::BatchFrame;

/// Bytes that make a batch, compressed or decoded: fits into the second cache of a core, and is worth a hand-over.
const BATCH_LEN: u64 = 1 << 20;
/// How long decoders that have nothing to do wait for the rest of a content.
const PATIENCE: Duration = Duration::from_millis(20);
/// Longest frame of a chunk that is decoded in memory. A frame hardly grows beyond its content; what a TOC claims to belong
/// to it besides is passed over.
const FRAME_LEN_MAX: u64 = 2 * SMALL_LEN_MAX;

/// Frames that are decoded together.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    /// The frames' bytes, one after another.
    pub(super) bytes: Vec<u8>,
    /// The frames, ascending, with where in `bytes` each ends.
    pub(super) frames: Vec<BatchFrame<'a>>,
    /// Bytes they hold.
    pub(super) len: u64,
    /// When the first of them was about to come.
    started: Instant,
}

impl Batch<'_> {
    fn new(pool: &Pool) -> Self {
        let mut bytes = pool.take(BATCH_LEN);
        bytes.clear();
        Self { bytes, frames: Vec::new(), len: 0, started: Instant::now() }
    }

    fn is_full(&self) -> bool {
        self.reaches(BATCH_LEN)
    }

    /// Tells whether no more is taken even if that cuts a content in two, which is then gathered in a partial.
    fn is_overfull(&self) -> bool {
        self.reaches(2 * BATCH_LEN)
    }

    fn reaches(&self, len: u64) -> bool {
        self.len >= len || self.bytes.len() as u64 >= len
    }
}

/// One connection's worth of moving bytes.
pub(super) struct Transfer<'p, 'a> {
    pub(super) fetch: &'p Fetch<'a>,
    pub(super) board: &'p Board,
    pub(super) pool: &'p Pool,
    pub(super) batches: Sender<Batch<'p>>,
    pub(super) halt: &'p Halt<'p>,
}

impl<'p> Transfer<'p, '_> {
    /// Reads the ranges of `request` and hands the frames in them to the decoders; the gaps are read and dropped.
    pub(super) fn run(&self, request: &Request) -> Result<(), Failure> {
        let inner = self.fetch.source.read_ranges(&request.ranges).map_err(read)?;
        let mut body = Body { inner, fetch: self.fetch, at: 0 };
        let mut batch = Batch::new(self.pool);
        let moved = self.ranges(request, &mut body, &mut batch);
        // What has come goes to the decoders even when the rest of the request fails.
        let sent = self.send(&mut batch);
        moved.and(sent)
    }

    fn ranges(
        &self,
        request: &Request,
        body: &mut Body<'_, '_>,
        batch: &mut Batch<'p>,
    ) -> Result<(), Failure> {
        for range in &request.ranges {
            body.at = range.start();
            for frame in self.fetch.needs.missing_in(*range) {
                self.halt.check()?;
                body.skip_to(frame.range.start()).map_err(read)?;
                self.frame(frame, body, batch)?;
            }
            body.skip_to(range.end()).map_err(read)?;
        }
        Ok(())
    }

    fn frame(&self, frame: &'p Frame, body: &mut Body<'_, '_>, batch: &mut Batch<'p>) -> Result<(), Failure> {
        let wanted = self.fetch.wanted(frame.id)?;
        // What is gathered in a partial anyway may come in pieces.
        let is_end = wanted.is_last_data(frame.id.chunk()) || !wanted.is_in_memory();
        let len = self.fetch.chunk(frame.id)?.file.len();
        if len > SMALL_LEN_MAX {
            self.send(batch)?;
            return giant(self.fetch, frame, body, self.board, self.halt);
        }
        body.append(frame.range.len().min(FRAME_LEN_MAX), &mut batch.bytes).map_err(read)?;
        batch.frames.push((frame, batch.bytes.len()));
        batch.len = batch.len.saturating_add(wanted.room_for(frame.id.chunk()));
        // On a slow link nothing waits for more to come, and little is lost when the process is killed.
        let is_ready = is_end || batch.started.elapsed() > PATIENCE;
        let is_full = batch.is_full() && is_end || batch.is_overfull();
        if is_full || is_ready && self.batches.is_empty() { self.send(batch) } else { Ok(()) }
    }

    /// Hands a batch over, and starts another one.
    fn send(&self, batch: &mut Batch<'p>) -> Result<(), Failure> {
        if batch.frames.is_empty() {
            return Ok(());
        }
        let full = mem::replace(batch, Batch::new(self.pool));
        self.batches.send(full).map_err(|_| Failure::Stopped)
    }
}

fn read(source: io::Error) -> Failure {
    Failure::Read { source }
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
            self.fetch.meter.waste(skipped);
            if skipped != gap {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
        }
        Ok(())
    }

    /// Reads `len` bytes to the end of `bytes`, or nothing.
    fn append(&mut self, len: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
        let before = bytes.len();
        // With room, nothing is read in small pieces. The length was checked: more than this comes as it may.
        bytes.reserve(usize::try_from(len.min(2 * SMALL_LEN_MAX)).unwrap_or(0));
        let read = self.by_ref().take(len).read_to_end(bytes);
        match read {
            Ok(count) if count as u64 == len => Ok(()),
            failed => {
                bytes.truncate(before);
                failed.and(Err(io::ErrorKind::ConnectionAborted.into()))
            }
        }
    }
}

impl Read for Body<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.at = self.at.saturating_add(count as u64);
        self.fetch.meter.came(count as u64);
        Ok(count)
    }
}
