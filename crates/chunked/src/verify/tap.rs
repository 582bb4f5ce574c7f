use std::fmt;
use std::io::{self, BufRead, Read};

use crate::digest::{AnyHasher, Digest};

/// Bytes read at a time.
const BUFFER_LEN: usize = 256 << 10;

/// Reads a blob in order, hashes what is consumed, and knows where in the blob it is.
pub(super) struct Tap<R> {
    inner: R,
    hasher: AnyHasher,
    offset: u64,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl<R: Read> Tap<R> {
    /// Starts at the first byte; hashes with the algorithm of `like`.
    pub(super) fn new(inner: R, like: &Digest) -> Self {
        let hasher = AnyHasher::like(like);
        Self { inner, hasher, offset: 0, buffer: vec![0; BUFFER_LEN], start: 0, end: 0 }
    }

    /// Returns at least `count` bytes that come next, a few at most; fewer only at the end of the blob.
    pub(super) fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        if self.end.saturating_sub(self.start) < count {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end = self.end.saturating_sub(self.start);
            self.start = 0;
        }
        while self.end.saturating_sub(self.start) < count {
            let room = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.inner.read(room) {
                Ok(0) => break,
                Ok(read) => self.end = self.end.saturating_add(read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.buffer.get(self.start..self.end).unwrap_or_default())
    }

    /// Goes on by bytes that were peeked.
    pub(super) fn consume(&mut self, count: usize) {
        let end = self.start.saturating_add(count).min(self.end);
        let bytes = self.buffer.get(self.start..end).unwrap_or_default();
        self.hasher.update(bytes);
        self.offset = self.offset.saturating_add(bytes.len() as u64);
        self.start = end;
    }

    /// Goes on by `count` bytes without looking at them; tells how many there were.
    pub(super) fn skip(&mut self, count: u64) -> io::Result<u64> {
        let mut skipped = 0_u64;
        while skipped < count {
            let available = self.peek(1)?.len();
            if available == 0 {
                break;
            }
            let left = count.saturating_sub(skipped);
            let step = usize::try_from(left).map_or(available, |left| left.min(available));
            self.consume(step);
            skipped = skipped.saturating_add(step as u64);
        }
        Ok(skipped)
    }

    /// Counts the bytes consumed.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads what is left, and returns the digest and the length of the whole blob.
    pub(super) fn finish(mut self) -> io::Result<(Digest, u64)> {
        self.skip(u64::MAX)?;
        Ok((self.hasher.finish(), self.offset))
    }
}

impl<R: Read> Read for Tap<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.peek(1)?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: Read> BufRead for Tap<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.peek(1)
    }

    fn consume(&mut self, count: usize) {
        Tap::consume(self, count);
    }
}

impl<R> fmt::Debug for Tap<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").field("offset", &self.offset).finish_non_exhaustive()
    }
}
