//! Bytes to fill files with: the same for the same seed on every machine.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// Returns the first `len` bytes of [`Stream`] `seed`.
pub fn stream(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    Stream::new(seed).fill(&mut bytes);
    bytes
}

/// Bytes that do not compress: SHA-256(LE64(seed) || LE64(0)), SHA-256(LE64(seed) || LE64(1)), and so on without end.
///
/// The test vectors of the chunker are written in terms of it.
#[derive(Debug, Clone)]
pub struct Stream {
    seed: u64,
    next: u64,
    block: [u8; 32],
    used: usize,
}

impl Stream {
    /// Starts the stream of `seed` at its first byte.
    pub fn new(seed: u64) -> Self {
        Self { seed, next: 0, block: [0; 32], used: 32 }
    }

    /// Fills all of `out`.
    pub fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            if self.used == self.block.len() {
                self.advance();
            }
            *byte = self.block[self.used];
            self.used += 1;
        }
    }

    fn advance(&mut self) {
        let mut hash = Sha256::new();
        hash.update(self.seed.to_le_bytes());
        hash.update(self.next.to_le_bytes());
        self.block = hash.finalize().into();
        self.next += 1;
        self.used = 0;
    }
}

impl Read for Stream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.fill(out);
        Ok(out.len())
    }
}

/// Returns 64 bytes after which the chunker always cuts, whatever stood before them: its window is exactly that long.
pub fn cut() -> Vec<u8> {
    stream(0, 16_602).split_off(16_602 - 64)
}

/// Returns `len` bytes of English-looking lines, which compress to about a quarter. Much faster than [`stream`].
pub fn text(seed: u64, len: usize) -> Vec<u8> {
    const WORDS: [&str; 32] = [
        "layer",
        "of",
        "the",
        "a",
        "container",
        "holds",
        "files",
        "which",
        "and",
        "are",
        "in",
        "tree",
        "every",
        "chunk",
        "has",
        "its",
        "own",
        "frame",
        "digest",
        "to",
        "be",
        "read",
        "without",
        "rest",
        "blob",
        "when",
        "it",
        "is",
        "fetched",
        "by",
        "range",
        "registry",
    ];
    let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
    let mut bytes = Vec::with_capacity(len + 16);
    while bytes.len() < len {
        state = xorshift(state);
        bytes.extend_from_slice(WORDS[(state >> 59) as usize].as_bytes());
        bytes.push(if state.is_multiple_of(13) { b'\n' } else { b' ' });
    }
    bytes.truncate(len);
    bytes
}

/// Marsaglia's 64-bit xorshift, 13-7-17.
fn xorshift(mut state: u64) -> u64 {
    state ^= state << 13;
    state ^= state >> 7;
    state ^ (state << 17)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_one_the_vectors_are_made_of() {
        let digest = Sha256::digest(stream(0, 300_000));
        assert_eq!(digest[..8], [0xde, 0xc7, 0xb4, 0x33, 0x28, 0x91, 0xf0, 0xeb]);
        let digest = Sha256::digest(stream(1, 65_536));
        assert_eq!(digest[..8], [0x25, 0x66, 0x26, 0x54, 0xd8, 0x3b, 0xb6, 0x25]);
    }

    #[test]
    fn text_has_the_length_asked_for_and_depends_on_the_seed() {
        assert_eq!(text(1, 1000).len(), 1000);
        assert_eq!(text(1, 1000), text(1, 1000));
        assert_ne!(text(1, 1000), text(2, 1000));
    }
}
