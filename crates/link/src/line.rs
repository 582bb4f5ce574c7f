//! The connections of a link, and what they do at a given time.
//!
//! [`Lines::turn`] moves everything that can be moved, and says when there will be more to do. It reads and writes what never
//! waits, and is told the time, so that tests run hours of it in no time.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use crate::pipe::Pipe;
use crate::{Bucket, Link};

/// Bytes on their way in one direction of a connection, at least: what the ends of a real one would buffer.
const WINDOW_LEN_MIN: f64 = (256 << 10) as f64;
/// And at most, however fast and far the link is.
const WINDOW_LEN_MAX: f64 = (1 << 30) as f64;
/// As many of the bytes that fit into the link may be on their way.
const WINDOWS: f64 = 2.0;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

impl Way {
    pub(crate) const BOTH: [Self; 2] = [Self::Up, Self::Down];
}

/// What a way has of everything that ways have.
#[derive(Debug, Default)]
pub(crate) struct Both<T> {
    up: T,
    down: T,
}

impl<T> Both<T> {
    pub(crate) fn new(up: T, down: T) -> Self {
        Self { up, down }
    }

    pub(crate) fn of(&self, way: Way) -> &T {
        match way {
            Way::Up => &self.up,
            Way::Down => &self.down,
        }
    }

    pub(crate) fn of_mut(&mut self, way: Way) -> &mut T {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }
}

/// All connections of a link.
#[derive(Debug)]
pub(crate) struct Lines<E> {
    link: Link,
    buckets: Both<Bucket>,
    /// By ascending number.
    lines: Vec<Line<E>>,
    next_number: u64,
    /// Who is asked first: the one after the one that was served last.
    first: Both<usize>,
    jitter: Jitter,
    window_len: usize,
    buffer: Vec<u8>,
}

/// A connection: its two ends, which never wait.
#[derive(Debug)]
pub(crate) struct Line<E> {
    number: u64,
    client: E,
    server: E,
    /// What was asked of the client's end, then of the server's, and not answered yet.
    asked: [Interest; 2],
    opens_at: Instant,
    ways: Both<Flow>,
}

/// One direction of a connection.
#[derive(Debug)]
pub(crate) struct Flow {
    bucket: Bucket,
    pipe: Pipe,
    /// Whether reading may bring something.
    is_readable: bool,
    /// Whether writing may take something.
    is_writable: bool,
    is_closed: bool,
}

/// What is wanted of an end, or what it can do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Interest {
    pub(crate) read: bool,
    pub(crate) write: bool,
}

/// What happened in a turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    /// Bytes that arrived at servers.
    pub(crate) up: u64,
    /// Bytes that arrived at clients.
    pub(crate) down: u64,
    /// When there is more to do, whatever the ends do.
    pub(crate) wake: Option<Instant>,
}

/// An end of a connection.
pub(crate) trait End: Read + Write {
    /// Tells the peer that there is no more.
    fn finish(&mut self);
}

impl<E: End> Lines<E> {
    pub(crate) fn new(link: Link) -> Self {
        let held = link.rate * (link.round_trip + link.jitter).as_secs_f64() * WINDOWS;
        Self {
            link,
            buckets: Both::new(Bucket::new(link.rate), Bucket::new(link.rate)),
            lines: Vec::new(),
            next_number: 0,
            first: Both::default(),
            jitter: Jitter(0x9E37_79B9_7F4A_7C15),
            // No link holds nothing, so an infinite one is `NaN` here.
            window_len: (if held.is_nan() { 0.0 } else { held }).clamp(WINDOW_LEN_MIN, WINDOW_LEN_MAX)
                as usize,
            buffer: vec![0; link.slice_len()],
        }
    }

    /// Adds a connection that the client asked for at `now`; its first bytes pass a round trip later.
    pub(crate) fn add(&mut self, client: E, server: E, now: Instant) {
        let flow = || Flow {
            bucket: Bucket::new(self.link.connection_rate.unwrap_or(f64::INFINITY)),
            pipe: Pipe::default(),
            is_readable: false,
            is_writable: true,
            is_closed: false,
        };
        let ways = Both::new(flow(), flow());
        let (number, opens_at) = (self.next_number, now + self.link.round_trip);
        self.lines.push(Line { number, client, server, asked: Default::default(), opens_at, ways });
        self.next_number += 1;
    }

    /// Returns the number that the next connection gets.
    pub(crate) fn next_number(&self) -> u64 {
        self.next_number
    }

    pub(crate) fn count(&self) -> usize {
        self.lines.len()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Line<E>> {
        self.lines.iter_mut()
    }

    /// Takes note of what an end of a connection can do, the client's or the server's.
    pub(crate) fn ready(&mut self, number: u64, end: usize, can: Interest) {
        let place = self.lines.binary_search_by_key(&number, |line| line.number);
        if let Some(line) = place.ok().and_then(|place| self.lines.get_mut(place)) {
            line.ready(end, can);
        }
    }

    /// Moves what can be moved at `now`.
    pub(crate) fn turn(&mut self, now: Instant) -> Moved {
        let mut moved = Moved::default();
        for way in Way::BOTH {
            self.take(way, now);
        }
        for line in &mut self.lines {
            moved.up = moved.up.saturating_add(line.deliver(Way::Up, now));
            moved.down = moved.down.saturating_add(line.deliver(Way::Down, now));
        }
        self.lines.retain(|line| !line.is_over());
        for line in &self.lines {
            let wakes = Way::BOTH.iter().filter_map(|way| self.wake(line, *way, now));
            moved.wake = moved.wake.into_iter().chain(wakes).min();
        }
        moved
    }

    /// Takes slices, one from a connection after the other, while the link is free.
    fn take(&mut self, way: Way, now: Instant) {
        let (first, mut is_used) = (*self.first.of(way), false);
        for place in (first..self.lines.len()).chain(0..first) {
            let bucket = self.buckets.of_mut(way);
            if bucket.busy_until(now).is_some() {
                return;
            }
            let line = self.lines.get_mut(place).filter(|line| line.may_take(way, now, self.window_len));
            let Some(line) = line else { continue };
            let Some(bytes) = line.read(way, &mut self.buffer) else { continue };
            let own = line.ways.of_mut(way);
            let through = bucket.take(bytes.len(), now).max(own.bucket.take(bytes.len(), now));
            let delay = self.link.round_trip / 2 + self.jitter.next(self.link.jitter / 2);
            own.pipe.push(bytes, through + delay);
            *self.first.of_mut(way) = place.saturating_add(1);
            is_used = true;
        }
        if !is_used {
            self.buckets.of_mut(way).idle(now);
        }
    }

    /// Returns when a connection can go on without anything from its ends.
    fn wake(&self, line: &Line<E>, way: Way, now: Instant) -> Option<Instant> {
        let flow = line.ways.of(way);
        let arrives = flow.pipe.due().filter(|_| flow.is_writable);
        let is_wanted = flow.is_readable && flow.has_room(self.window_len);
        let busy = || self.buckets.of(way).busy_until(now).max(flow.bucket.busy_until(now));
        let takes = is_wanted.then(|| busy().unwrap_or(now).max(line.opens_at));
        arrives.into_iter().chain(takes).min()
    }
}

impl<E: End> Line<E> {
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Returns the client's end, then the server's.
    pub(crate) fn ends(&self) -> [&E; 2] {
        [&self.client, &self.server]
    }

    /// Returns what is wanted of the client's end, then of the server's.
    pub(crate) fn interests(&self) -> [Interest; 2] {
        let (up, down) = (self.ways.of(Way::Up), self.ways.of(Way::Down));
        [Interest::of(up, down), Interest::of(down, up)]
    }

    /// Lists the ends, by place, of which something else is wanted than was asked.
    pub(crate) fn unasked(&self) -> impl Iterator<Item = (usize, Interest)> + use<E> {
        let wanted = self.interests().into_iter().zip(self.asked).enumerate();
        wanted
            .filter(|(_, (wanted, asked))| wanted.is_any() && wanted != asked)
            .map(|(place, (wanted, _))| (place, wanted))
    }

    /// Takes note of what was asked of an end.
    pub(crate) fn asked(&mut self, end: usize, wanted: Interest) {
        if let Some(asked) = self.asked.get_mut(end) {
            *asked = wanted;
        }
    }

    /// Takes note of what an end can do.
    pub(crate) fn ready(&mut self, end: usize, can: Interest) {
        self.asked(end, Interest::default());
        let (from, to) = match end {
            0 => (&mut self.ways.up, &mut self.ways.down),
            _ => (&mut self.ways.down, &mut self.ways.up),
        };
        from.is_readable |= can.read;
        to.is_writable |= can.write;
    }

    fn may_take(&self, way: Way, now: Instant, window_len: usize) -> bool {
        let flow = self.ways.of(way);
        let is_free = flow.bucket.busy_until(now).is_none() && self.opens_at <= now;
        is_free && flow.is_readable && flow.has_room(window_len)
    }

    /// Reads a slice; an end that fails sends no more.
    fn read(&mut self, way: Way, buffer: &mut [u8]) -> Option<Vec<u8>> {
        let from = match way {
            Way::Up => &mut self.client,
            Way::Down => &mut self.server,
        };
        let flow = self.ways.of_mut(way);
        match from.read(buffer) {
            Ok(0) => flow.pipe.end(),
            Ok(count) => return buffer.get(..count).map(<[u8]>::to_vec),
            Err(error) if waits(&error) => {}
            Err(_) => flow.pipe.end(),
        }
        flow.is_readable = false;
        None
    }

    /// Writes what has arrived, and returns how much of it there was.
    fn deliver(&mut self, way: Way, now: Instant) -> u64 {
        let to = match way {
            Way::Up => &mut self.server,
            Way::Down => &mut self.client,
        };
        let flow = self.ways.of_mut(way);
        let mut sum: u64 = 0;
        while let Some(bytes) = flow.pipe.arrived(now).filter(|_| flow.is_writable) {
            match to.write(bytes) {
                Ok(count) => {
                    flow.pipe.deliver(count);
                    sum = sum.saturating_add(count as u64);
                }
                Err(error) if waits(&error) => flow.is_writable = false,
                // Who sends will learn it when the connection is dropped.
                Err(_) => flow.pipe.abandon(),
            }
        }
        if flow.pipe.is_done() && !flow.is_closed {
            flow.is_closed = true;
            to.finish();
        }
        sum
    }

    fn is_over(&self) -> bool {
        Way::BOTH.iter().all(|way| self.ways.of(*way).is_closed)
    }
}

impl Flow {
    fn has_room(&self, window_len: usize) -> bool {
        self.pipe.is_open() && self.pipe.len() < window_len
    }
}

impl Interest {
    /// An end is read for one flow, and written for the other.
    fn of(from: &Flow, to: &Flow) -> Self {
        Self { read: from.pipe.is_open() && !from.is_readable, write: !to.is_writable }
    }

    /// Tells whether anything is wanted.
    pub(crate) fn is_any(self) -> bool {
        self.read || self.write
    }
}

fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Numbers that look random, and are the same each time (xorshift64).
#[derive(Debug)]
struct Jitter(u64);

impl Jitter {
    /// Returns a time of up to `most`, each as likely as any other.
    fn next(&mut self, most: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        most.mul_f64((self.0 >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

#[cfg(test)]
mod tests;
