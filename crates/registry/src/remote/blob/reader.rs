//! Reads ranges in the order they were asked for, however they arrive.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read};
use std::sync::atomic::Ordering;
use std::thread;

use chunked::BlobRange;

use super::ask::{Incoming, Stop};
use super::{BlobServer, RemoteBlob};

/// Tries without progress before giving up.
const TRIES_MAX: u32 = 5;
/// Refusals until even a host that is asked for less step by step is asked for the whole blob.
const LESSONS_MAX: usize = 8;
/// Bytes that count as progress: a server must not keep us busy with one byte for each request.
const PROGRESS_LEN: u64 = 64 << 10;
/// Bytes of parts that may come before their turn.
const EARLY_LEN_MAX: u64 = 8 << 20;

/// Reads ranges; asks again for what does not come.
pub(super) struct Reader<'a, S> {
    blob: &'a RemoteBlob<S>,
    /// What is still to be handed out.
    wanted: VecDeque<BlobRange>,
    incoming: Option<Incoming>,
    /// Where the last range ends that the answer is about.
    asked_to: u64,
    early: Early,
    /// Tries since the last progress.
    tries: u32,
    /// Bytes handed out since then.
    progress: u64,
}

impl<'a, S: BlobServer> Reader<'a, S> {
    fn new(blob: &'a RemoteBlob<S>, ranges: Vec<BlobRange>) -> Self {
        let asked_to = ranges.last().map_or(0, BlobRange::end);
        Self {
            blob,
            wanted: ranges.into(),
            incoming: None,
            asked_to,
            early: Early::default(),
            tries: 0,
            progress: 0,
        }
    }

    /// Sends the first request. A source that can do less than is asked for says so now or never.
    pub(super) fn start(blob: &'a RemoteBlob<S>, ranges: Vec<BlobRange>) -> Result<Self, Stop> {
        let first = blob.ask(&ranges, false);
        let mut reader = Self::new(blob, ranges);
        match first {
            Ok(incoming) => reader.incoming = Some(incoming),
            Err(Stop::Broken(cause)) => reader.resume(cause)?,
            Err(stop) => return Err(stop),
        }
        Ok(reader)
    }

    /// Asks for what is left, after the answer at hand ended with `error` or simply too early.
    fn recover(&mut self, error: Option<io::Error>) -> io::Result<()> {
        let judged =
            self.incoming.take().zip(error).map(|(incoming, error)| self.blob.judge(&incoming, error));
        match judged {
            Some(Stop::Failed(error)) => Err(error),
            Some(Stop::Broken(cause)) => self.resume(cause),
            Some(Stop::Less) | None => self.resume(early_end()),
        }
    }

    /// Asks until an answer begins.
    fn resume(&mut self, mut cause: io::Error) -> io::Result<()> {
        loop {
            self.count_try(&cause)?;
            match self.ask() {
                Ok(()) => return Ok(()),
                Err(Stop::Broken(error)) => cause = error,
                Err(Stop::Failed(error)) => return Err(error),
                Err(Stop::Less) => {}
            }
        }
    }

    /// Asks for what comes after all that the answer at hand was about.
    fn proceed(&mut self) -> io::Result<()> {
        if let Some(incoming) = self.incoming.take() {
            incoming.finish();
        }
        match self.ask() {
            Ok(()) => Ok(()),
            Err(Stop::Broken(cause)) => self.resume(cause),
            Err(Stop::Failed(error)) => Err(error),
            Err(Stop::Less) => self.resume(early_end()),
        }
    }

    fn count_try(&mut self, cause: &io::Error) -> io::Result<()> {
        self.tries = self.tries.saturating_add(1);
        if self.tries > TRIES_MAX {
            let text = format!("{cause}, also when tried {TRIES_MAX} more times");
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, text));
        }
        if self.tries > 1 {
            thread::sleep(self.blob.first_wait.saturating_mul(1 << (self.tries - 2)));
        }
        self.blob.traffic.retries.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Sends a request for what is left, or for as much of it as the host takes in one. What is refused teaches to ask for
    /// less.
    fn ask(&mut self) -> Result<(), Stop> {
        for _ in 0..LESSONS_MAX {
            let missing = self.wanted.iter().filter(|want| !self.early.has_all(**want));
            let ranges: Vec<_> = missing.take(self.blob.most_ranges()).copied().collect();
            match self.blob.ask(&ranges, true) {
                Ok(incoming) => {
                    self.incoming = Some(incoming);
                    self.asked_to = ranges.last().map_or(0, BlobRange::end);
                    return Ok(());
                }
                Err(Stop::Less) => {}
                Err(stop) => return Err(stop),
            }
        }
        Err(Stop::Less)
    }

    /// Reads from what comes in, going past what is not wanted; nothing when the answer has ended.
    fn receive(&mut self, want: BlobRange, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(incoming) = &mut self.incoming else { return Ok(0) };
            let part = incoming.part;
            if part.is_empty() || part.end() <= want.start() {
                if !incoming.next_part()? {
                    return Ok(0);
                }
            } else if part.start() > want.start() {
                if self.early.has_room_for(part) {
                    self.early.take(incoming)?;
                } else {
                    self.blob.disordered(incoming);
                    return Ok(0);
                }
            } else if part.start() < want.start() {
                let ahead = want.start().saturating_sub(part.start());
                incoming.read(&mut [0; 16 << 10][..ahead.min(16 << 10) as usize])?;
            } else {
                let len = usize::try_from(want.len()).unwrap_or(usize::MAX).min(buffer.len());
                return incoming.read(buffer.get_mut(..len).unwrap_or_default());
            }
            if self.early.has(want.start()) {
                return Ok(self.early.read(want, buffer));
            }
        }
    }

    /// Takes note of bytes handed out.
    fn advance(&mut self, count: usize) {
        let Some(want) = self.wanted.front_mut() else { return };
        let start = want.start().saturating_add(count as u64);
        match BlobRange::new(start, want.end()).filter(|left| !left.is_empty()) {
            Some(left) => *want = left,
            None => _ = self.wanted.pop_front(),
        }
        // Who got all that was asked for has no reason to read on.
        if self.wanted.is_empty()
            && let Some(incoming) = self.incoming.take()
        {
            incoming.finish();
        }
        self.early.forget_before(start);
        self.progress = self.progress.saturating_add(count as u64);
        if self.progress >= PROGRESS_LEN {
            (self.tries, self.progress) = (0, 0);
        }
    }
}

impl<S: BlobServer> Read for Reader<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while let Some(&want) = self.wanted.front() {
            let received = match self.early.read(want, buffer) {
                0 if want.start() >= self.asked_to => {
                    self.proceed()?;
                    continue;
                }
                0 => self.receive(want, buffer),
                count => Ok(count),
            };
            match received {
                Ok(0) => self.recover(None)?,
                Ok(count) => {
                    self.advance(count);
                    return Ok(count);
                }
                Err(error) => self.recover(Some(error))?,
            }
        }
        Ok(0)
    }
}

fn early_end() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the answer ended early")
}

/// Parts that came before their turn, by where they start.
#[derive(Debug, Default)]
struct Early {
    parts: BTreeMap<u64, Vec<u8>>,
    len: u64,
}

impl Early {
    fn has_room_for(&self, part: BlobRange) -> bool {
        self.len.saturating_add(part.len()) <= EARLY_LEN_MAX
    }

    /// Takes the part at hand.
    fn take(&mut self, incoming: &mut Incoming) -> io::Result<()> {
        let start = incoming.part.start();
        let mut bytes = Vec::new();
        let mut buffer = [0; 16 << 10];
        while !incoming.part.is_empty() {
            let count = incoming.read(&mut buffer)?;
            bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
        }
        self.len = self.len.saturating_add(bytes.len() as u64);
        if let Some(same) = self.parts.insert(start, bytes) {
            self.len = self.len.saturating_sub(same.len() as u64);
        }
        Ok(())
    }

    fn has(&self, at: u64) -> bool {
        self.from(at).is_some()
    }

    /// Copies what there is from the start of `want`.
    fn read(&self, want: BlobRange, buffer: &mut [u8]) -> usize {
        let Some(bytes) = self.from(want.start()) else { return 0 };
        let len = usize::try_from(want.len()).unwrap_or(usize::MAX).min(buffer.len()).min(bytes.len());
        match (buffer.get_mut(..len), bytes.get(..len)) {
            (Some(buffer), Some(bytes)) => buffer.copy_from_slice(bytes),
            _ => return 0,
        }
        len
    }

    /// Returns the bytes from `at` on.
    fn from(&self, at: u64) -> Option<&[u8]> {
        let (start, bytes) = self.parts.range(..=at).next_back()?;
        let ahead = usize::try_from(at.saturating_sub(*start)).ok()?;
        bytes.get(ahead..).filter(|bytes| !bytes.is_empty())
    }

    fn has_all(&self, range: BlobRange) -> bool {
        self.from(range.start()).is_some_and(|bytes| bytes.len() as u64 >= range.len())
    }

    /// Drops the parts that end before `at`.
    fn forget_before(&mut self, at: u64) {
        while let Some(first) = self.parts.first_entry() {
            let len = first.get().len() as u64;
            if first.key().saturating_add(len) > at {
                break;
            }
            self.len = self.len.saturating_sub(len);
            first.remove();
        }
    }
}
