//! Memory that is read into again and again.
//!
//! A fresh buffer for each read would be cleared first, and often be new memory that the kernel has to find.

use std::mem;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// Bytes of a buffer.
pub(crate) const BUFFER_LEN: usize = 256 << 10;
/// Longest read, in bytes, whose memory is its own: many small parts of an answer may wait to be sent at once.
const SMALL_LEN: usize = 32 << 10;
/// Most buffers that are kept for later: those of so many answers at once.
const KEPT_MAX: usize = 64;

static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Memory for one read, with whatever is in it. A large one is kept for later when it is dropped.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    /// How much of it is used.
    len: usize,
}

impl Buffer {
    /// Takes memory for `len` bytes, or for [`BUFFER_LEN`] if that is less.
    pub(crate) fn take(len: usize) -> Self {
        let len = len.min(BUFFER_LEN);
        let kept = || KEPT.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = match len > SMALL_LEN {
            true => kept().unwrap_or_else(|| vec![0; BUFFER_LEN]),
            false => vec![0; len],
        };
        Self { bytes, len }
    }

    /// Returns the memory, to read into.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }

    /// Hands out the first bytes.
    pub(crate) fn into_bytes(mut self, len: usize) -> Bytes {
        self.len = len.min(self.len);
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if self.bytes.len() == BUFFER_LEN && kept.len() < KEPT_MAX {
            kept.push(mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_read_is_handed_out() {
        for (len, text) in [(usize::MAX, "abc"), (3, "abc"), (BUFFER_LEN, "x")] {
            let mut buffer = Buffer::take(len);
            assert_eq!(buffer.bytes().len(), len.min(BUFFER_LEN));
            buffer.bytes()[..text.len()].copy_from_slice(text.as_bytes());
            let bytes = buffer.into_bytes(text.len());
            assert_eq!(bytes, text);
            assert_eq!(bytes.slice(1..), text[1..]);
        }
    }
}
