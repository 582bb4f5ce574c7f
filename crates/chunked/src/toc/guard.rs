use std::io::{self, Read};

use memchr::memchr2;

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
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.string.take() {
                Some(string) => self.string(string, rest)?,
                None => self.brackets(rest)?,
            };
        }
        Ok(())
    }

    /// Takes what is left of a string; returns what follows.
    fn string<'b>(&mut self, mut string: OpenString, bytes: &'b [u8]) -> Result<&'b [u8], Invalid> {
        let mut taken = usize::from(string.escaped);
        string.escaped = false;
        let mut is_open = true;
        while is_open && let Some(at) = memchr2(b'"', b'\\', bytes.get(taken..).unwrap_or_default()) {
            let at = taken.saturating_add(at);
            is_open = bytes.get(at) != Some(&b'"');
            // The byte after a backslash is skipped, and may be in what is read next.
            taken = at.saturating_add(if is_open { 2 } else { 1 });
            string.escaped = taken > bytes.len();
        }
        let taken = if is_open { bytes.len() } else { taken };
        string.len = string.len.saturating_add(taken as u64);
        if string.len > self.limits.string_len.saturating_mul(ESCAPE_LEN) {
            return Err(Invalid::StringTooLong { limit: self.limits.string_len });
        }
        self.string = is_open.then_some(string);
        Ok(bytes.get(taken..).unwrap_or_default())
    }

    /// Takes what comes before the next string, and the quote at its start; returns what follows.
    fn brackets<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], Invalid> {
        for (at, byte) in (1..).zip(bytes) {
            match byte {
                b'"' => {
                    self.string = Some(OpenString::default());
                    return Ok(bytes.get(at..).unwrap_or_default());
                }
                b'{' | b'[' => self.depth = self.depth.saturating_add(1),
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => continue,
            }
            if self.depth > MAX_DEPTH {
                return Err(Invalid::TooDeep { limit: MAX_DEPTH });
            }
        }
        Ok(&[])
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
