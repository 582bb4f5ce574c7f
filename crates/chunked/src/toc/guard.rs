use std::io::{self, Read};

use super::Invalid;
use crate::limits::Limits;

/// Brackets of a TOC nest 4 deep: document, rows, row, attributes.
const MAX_DEPTH: u32 = 32;

/// Longest escape of one byte: `\u0000`.
const ESCAPE_LEN: u64 = 6;

/// Stops JSON text that would make a parser hold much of it: too long altogether, endless strings, deep nesting.
///
/// A JSON parser collects a whole string, and the brackets it is inside of, before anybody can look at them. What is
/// wrong travels as an [`Invalid`] inside an [`io::Error`] of kind `InvalidData`.
#[derive(Debug)]
pub(super) struct Guard<R> {
    inner: R,
    limits: Limits,
    len: u64,
    depth: u32,
    string: Option<OpenString>,
}

#[derive(Debug, Default)]
struct OpenString {
    len: u64,
    escaped: bool,
}

impl<R: Read> Guard<R> {
    pub(super) fn new(inner: R, limits: &Limits) -> Self {
        Self { inner, limits: *limits, len: 0, depth: 0, string: None }
    }

    /// Counts the bytes that went through.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    fn check(&mut self, bytes: &[u8]) -> Result<(), Invalid> {
        self.len = self.len.saturating_add(bytes.len() as u64);
        if self.len > self.limits.toc_len {
            return Err(Invalid::TooLong { limit: self.limits.toc_len });
        }
        let string_limit = self.limits.string_len.saturating_mul(ESCAPE_LEN);
        for byte in bytes {
            match (&mut self.string, byte) {
                (Some(string), _) if string.escaped => string.escaped = false,
                (Some(string), b'\\') => string.escaped = true,
                (Some(_), b'"') => self.string = None,
                (Some(_), _) => {}
                (None, b'"') => self.string = Some(OpenString::default()),
                (None, b'{' | b'[') => self.depth = self.depth.saturating_add(1),
                (None, b'}' | b']') => self.depth = self.depth.saturating_sub(1),
                (None, _) => continue,
            }
            if let Some(string) = &mut self.string {
                string.len = string.len.saturating_add(1);
                if string.len > string_limit {
                    return Err(Invalid::StringTooLong { limit: self.limits.string_len });
                }
            }
            if self.depth > MAX_DEPTH {
                return Err(Invalid::TooDeep { limit: MAX_DEPTH });
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Guard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let bytes = buffer.get(..count).unwrap_or_default();
        self.check(bytes).map_err(|invalid| io::Error::new(io::ErrorKind::InvalidData, invalid))?;
        Ok(count)
    }
}
