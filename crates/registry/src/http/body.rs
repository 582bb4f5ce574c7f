//! The body of an answer.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::client::Inner;
use super::failure::Reason;
use super::redact::Place;

/// Longest body that is worth reading for the sake of its connection.
const DRAIN_LEN_MAX: u64 = 16 << 10;

/// A body, read piece by piece as it arrives; each piece is copied once, into the reader's buffer.
///
/// A connection that says nothing for the stall timeout is an error of kind `TimedOut`, and one that ends too early is one
/// of kind `ConnectionAborted`. Nothing is resumed here.
#[derive(Debug)]
pub(crate) struct Body {
    response: reqwest::Response,
    place: Place,
    stall_timeout: Duration,
    handle: Handle,
    /// What arrived and was not read yet.
    piece: Bytes,
    /// Keeps the connections alive.
    _http: Arc<Inner>,
}

impl Body {
    pub(super) fn new(
        response: reqwest::Response,
        handle: Handle,
        stall_timeout: Duration,
        http: Arc<Inner>,
    ) -> Self {
        let place = Place::from(response.url());
        Self { response, place, stall_timeout, handle, piece: Bytes::new(), _http: http }
    }

    /// Returns the length that the server states, in bytes.
    pub(crate) fn stated_len(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// Reads all of it, if that is at most `limit` bytes; `None` when it is longer.
    pub(crate) fn read_limited(self, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        self.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        Ok((bytes.len() as u64 <= limit).then_some(bytes))
    }

    /// Reads what nobody wants, so that the connection can be used again.
    pub(crate) fn drain(mut self) {
        if self.stated_len().is_none_or(|len| len > DRAIN_LEN_MAX) {
            return;
        }
        self.stall_timeout = self.stall_timeout.min(Duration::from_secs(1));
        while let Ok(Some(_)) = self.next_piece() {}
    }

    fn next_piece(&mut self) -> io::Result<Option<Bytes>> {
        let Self { response, handle, stall_timeout, place, .. } = self;
        // Made inside the runtime: its clock belongs to it.
        match handle.block_on(async { timeout(*stall_timeout, response.chunk()).await }) {
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(error)) => {
                let reason = Reason::of(&error);
                let text = format!("the answer of `{place}` broke off: {reason}");
                Err(io::Error::new(io::ErrorKind::ConnectionAborted, text))
            }
            Err(_) => {
                let text = format!("`{place}` sent nothing for {} seconds", stall_timeout.as_secs());
                Err(io::Error::new(io::ErrorKind::TimedOut, text))
            }
        }
    }
}

impl BufRead for Body {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.piece.is_empty() {
            match self.next_piece()? {
                Some(piece) => self.piece = piece,
                None => return Ok(&[]),
            }
        }
        Ok(&self.piece)
    }

    fn consume(&mut self, count: usize) {
        self.piece.advance(count.min(self.piece.len()));
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}
