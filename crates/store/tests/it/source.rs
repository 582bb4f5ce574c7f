//! A blob in memory whose source does as told, and remembers what was read of it.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read};
use std::sync::Mutex;
use std::time::Duration;

use crate::made::Made;
use chunked::{Abilities, BlobRange, Link, RangeSource, Ranges, Traffic};

/// What happens to a request, by its number among those for frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is refused, and from then on the source can do only this.
    Less(Ranges),
    /// The answer breaks off after so many bytes.
    Cut(usize),
    /// There is no answer.
    Fail(ErrorKind),
}

type Hook = Box<dyn FnMut() + Send>;

/// A blob in memory.
pub(crate) struct Source {
    blob: Vec<u8>,
    payload_len: u64,
    state: Mutex<State>,
    /// Called once, when the byte at this offset is about to be read.
    hook: Mutex<Option<(u64, Hook)>>,
}

struct State {
    abilities: Abilities,
    faults: BTreeMap<usize, Fault>,
    requests: usize,
    for_frames: usize,
    /// How often each byte was read.
    reads: Vec<u8>,
}

/// A link over which a request costs next to nothing, so that gaps are hardly ever worth fetching.
pub(crate) fn abilities(ranges: Ranges, parallelism: usize) -> Abilities {
    Abilities { ranges, parallelism, link: Link::new(Duration::from_nanos(1), 1e6) }
}

/// Many ranges in a request.
pub(crate) const MANY: Ranges = Ranges::Many { count: 50, header_len: 4000 };

impl Source {
    pub(crate) fn new(made: &Made, abilities: Abilities) -> Self {
        let (blob, payload_len) = (made.blob.clone(), made.payload().end());
        let reads = vec![0; blob.len()];
        let state = State { abilities, faults: BTreeMap::new(), requests: 0, for_frames: 0, reads };
        Self { blob, payload_len, state: Mutex::new(state), hook: Mutex::default() }
    }

    pub(crate) fn faults(self, faults: impl IntoIterator<Item = (usize, Fault)>) -> Self {
        self.state.lock().unwrap().faults.extend(faults);
        self
    }

    pub(crate) fn hook(self, at: u64, hook: impl FnMut() + Send + 'static) -> Self {
        *self.hook.lock().unwrap() = Some((at, Box::new(hook)));
        self
    }

    /// Counts the requests so far.
    pub(crate) fn requests(&self) -> usize {
        self.state.lock().unwrap().requests
    }

    /// Tells how often the bytes of a range were read, at least.
    pub(crate) fn least_reads(&self, range: BlobRange) -> u8 {
        let range = range.start() as usize..range.end() as usize;
        self.state.lock().unwrap().reads[range].iter().copied().min().unwrap_or(0)
    }

    /// Counts the bytes read within a range.
    pub(crate) fn bytes_read(&self, range: BlobRange) -> u64 {
        let range = range.start() as usize..range.end() as usize;
        self.state.lock().unwrap().reads[range].iter().map(|count| u64::from(*count)).sum()
    }

    fn answer(&self, ranges: &[BlobRange]) -> io::Result<usize> {
        let mut state = self.state.lock().unwrap();
        state.requests += 1;
        let is_for_frames = ranges.first().is_some_and(|range| range.start() < self.payload_len);
        let fault = state.faults.get(&state.for_frames).copied().filter(|_| is_for_frames);
        state.for_frames += usize::from(is_for_frames);
        if let Some(Fault::Less(ranges)) = fault {
            state.abilities.ranges = ranges;
        }
        let is_within = match state.abilities.ranges {
            Ranges::Many { count, .. } => ranges.len() <= count,
            Ranges::One => ranges.len() == 1,
            Ranges::None => ranges.len() == 1 && ranges[0].start() == 0,
        };
        match fault {
            Some(Fault::Fail(kind)) => Err(kind.into()),
            Some(Fault::Less(_)) => Err(unsupported()),
            _ if !is_within => Err(unsupported()),
            Some(Fault::Cut(len)) => Ok(len),
            None => Ok(usize::MAX),
        }
    }
}

fn unsupported() -> io::Error {
    io::Error::new(ErrorKind::Unsupported, "the source can do less than that")
}

impl RangeSource for Source {
    fn blob_len(&self) -> u64 {
        self.blob.len() as u64
    }

    fn read_range(&self, range: BlobRange) -> io::Result<Box<dyn Read + Send + '_>> {
        self.read_ranges(&[range])
    }

    fn read_ranges(&self, ranges: &[BlobRange]) -> io::Result<Box<dyn Read + Send + '_>> {
        let left = self.answer(ranges)?;
        Ok(Box::new(Body { source: self, ranges: ranges.to_vec(), left }))
    }

    fn abilities(&self) -> Abilities {
        self.state.lock().unwrap().abilities
    }

    fn traffic(&self) -> Traffic {
        let state = self.state.lock().unwrap();
        let bytes = state.reads.iter().map(|count| u64::from(*count)).sum();
        Traffic { requests: state.requests as u64, retries: 0, bytes }
    }
}

struct Body<'a> {
    source: &'a Source,
    ranges: Vec<BlobRange>,
    left: usize,
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.ranges.retain(|range| !range.is_empty());
        let Some(range) = self.ranges.first_mut() else { return Ok(0) };
        if self.left == 0 {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        let mut hook = self.source.hook.lock().unwrap();
        if hook.as_ref().is_some_and(|(at, _)| (*at..self.source.payload_len).contains(&range.start())) {
            let (_, mut hook) = hook.take().unwrap();
            hook();
        }
        drop(hook);
        let len = (range.len() as usize).min(buffer.len()).min(self.left).min(10_000);
        let start = range.start() as usize;
        buffer[..len].copy_from_slice(&self.source.blob[start..start + len]);
        for count in &mut self.source.state.lock().unwrap().reads[start..start + len] {
            *count = count.saturating_add(1);
        }
        self.left -= len;
        *range = BlobRange::new(range.start() + len as u64, range.end()).unwrap();
        Ok(len)
    }
}
