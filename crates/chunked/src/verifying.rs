//! Reading a body that is vouched for.

use std::fmt;
use std::io::{self, Read};

use crate::digest::{AnyHasher, Digest};

/// Reads a body whose digest and length are known beforehand, and refuses to report its end when either is wrong.
///
/// No more than the expected length is ever handed out, so the length is also a bound on what a reader must hold.
pub struct Verifying<R> {
    inner: R,
    /// Taken when the end is reached.
    hasher: Option<AnyHasher>,
    expected: Digest,
    expected_len: u64,
    read: u64,
    /// What the end was found to be; a failure is reported as often as one asks.
    verdict: Result<(), Mismatch>,
}

/// Tells how a body differs from what was promised; travels inside an [`io::Error`] of kind `InvalidData`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The body is longer or shorter than promised.
    #[error("body is {found} bytes long, expected {expected}")]
    Length {
        /// Bytes promised.
        expected: u64,
        /// Bytes that came, or one more than promised when there are too many.
        found: u64,
    },
    /// The body hashes to something else.
    #[error("digest of the body is {found}, expected {expected}")]
    Digest {
        /// Digest promised.
        expected: Digest,
        /// Digest of the bytes that came.
        found: Digest,
    },
}

impl<R: Read> Verifying<R> {
    /// Wraps `inner`, which must yield exactly `len` bytes that hash to `digest`.
    pub fn new(inner: R, digest: Digest, len: u64) -> Self {
        let hasher = Some(AnyHasher::like(&digest));
        Self { inner, hasher, expected: digest, expected_len: len, read: 0, verdict: Ok(()) }
    }

    fn check(&self, found: Digest) -> Result<(), Mismatch> {
        if self.read != self.expected_len {
            return Err(Mismatch::Length { expected: self.expected_len, found: self.read });
        }
        if found != self.expected {
            return Err(Mismatch::Digest { expected: self.expected, found });
        }
        Ok(())
    }
}

impl<R: Read> Read for Verifying<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.inner.read(buffer)?;
        if count == 0 {
            if let Some(hasher) = self.hasher.take() {
                self.verdict = self.check(hasher.finish());
            }
            return self.verdict.clone().map(|()| 0).map_err(invalid_data);
        }
        let bytes = buffer.get(..count).unwrap_or_default();
        self.read = self.read.saturating_add(count as u64);
        if self.read > self.expected_len {
            let found = self.expected_len.saturating_add(1);
            return Err(invalid_data(Mismatch::Length { expected: self.expected_len, found }));
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        Ok(count)
    }
}

impl<R> fmt::Debug for Verifying<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifying")
            .field("expected", &self.expected)
            .field("expected_len", &self.expected_len)
            .field("read", &self.read)
            .finish_non_exhaustive()
    }
}

fn invalid_data(mismatch: Mismatch) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, mismatch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verifying_passes_the_promised_body_only() {
        let read = |body: &[u8], digest: Digest, len: u64| {
            let mut out = Vec::new();
            Verifying::new(body, digest, len).read_to_end(&mut out).map(|_| out)
        };
        let digest = Digest::of(b"abc");
        assert_eq!(read(b"abc", digest, 3).unwrap(), b"abc");
        let message = |result: io::Result<Vec<u8>>| result.unwrap_err().to_string();
        assert_eq!(message(read(b"abcd", digest, 3)), "body is 4 bytes long, expected 3");
        assert_eq!(message(read(b"ab", digest, 3)), "body is 2 bytes long, expected 3");
        assert!(message(read(b"abd", digest, 3)).starts_with("digest of the body is sha256:a52d"));
    }
}
