//! Bounds on those who connect: how many there are at once, and how long they may take.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Places for so many at once.
#[derive(Debug)]
pub(super) struct Places {
    taken: Arc<AtomicUsize>,
    most: usize,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Guest(Arc<AtomicUsize>);

impl Places {
    /// Makes so many places.
    pub(super) fn new(most: usize) -> Self {
        Self { taken: Arc::default(), most }
    }

    /// Takes a place; `None` when there is none.
    pub(super) fn take(&self) -> Option<Guest> {
        let more = |taken: usize| (taken < self.most).then_some(taken.saturating_add(1));
        let taken = self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        taken.ok().map(|_| Guest(Arc::clone(&self.taken)))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Reads and writes until a moment, and fails from then on, however little by little the other side goes on.
#[derive(Debug)]
pub(super) struct Until<S> {
    stream: S,
    end: Option<Instant>,
}

impl<S> Until<S> {
    /// Bounds the use of a stream; without an end, it is as it was.
    pub(super) fn new(stream: S, end: Option<Instant>) -> Self {
        Self { stream, end }
    }

    fn check(&self) -> io::Result<()> {
        match self.end {
            // Not `TimedOut`, which is what a stream says that is asked again.
            Some(end) if Instant::now() >= end => Err(io::ErrorKind::ConnectionAborted.into()),
            _ => Ok(()),
        }
    }
}

impl<S: Read> Read for Until<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.check()?;
        self.stream.read(buffer)
    }
}

impl<S: Write> Write for Until<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check()?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_guest_is_gone() {
        let places = Places::new(2);
        let (first, second) = (places.take(), places.take());
        assert!(first.is_some() && second.is_some() && places.take().is_none());
        drop(first);
        assert!(places.take().is_some());
    }

    #[test]
    fn who_sends_a_byte_now_and_then_gets_no_further_than_the_end() {
        struct Dripping;
        impl Read for Dripping {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                std::thread::sleep(Duration::from_millis(5));
                buffer.fill(b'x');
                Ok(buffer.len().min(1))
            }
        }
        let end = Instant::now().checked_add(Duration::from_millis(50));
        let error = io::copy(&mut Until::new(Dripping, end), &mut io::sink()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        assert!(io::copy(&mut Until::new(&b"all"[..], None), &mut io::sink()).is_ok());
    }
}
