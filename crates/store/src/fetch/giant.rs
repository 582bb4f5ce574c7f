//! Decodes a chunk that is too long to be held in memory, while it comes.

use std::io::{self, Read};
use std::mem;
use std::sync::{Arc, PoisonError};

use chunked::digest::Hasher;
use chunked::{Chunk, frame};

use super::Fetch;
use super::board::Board;
use super::contents::Wanted;
use super::failure::Failure;
use super::halt::Halt;
use super::needs::Frame;
use crate::error::Error;
use crate::partials::Partial;

/// Bytes that are written at once.
const PIECE_LEN: u64 = 1 << 20;

/// Decodes a giant chunk into a partial. One at a time, as each may need a window of 128 MiB.
pub(super) fn giant(
    fetch: &Fetch<'_>,
    frame: &Frame,
    body: &mut impl Read,
    board: &Board,
    halt: &Halt<'_>,
) -> Result<(), Failure> {
    let _alone = fetch.giant.lock().unwrap_or_else(PoisonError::into_inner);
    let wanted = fetch.wanted(frame.id)?;
    let mut giant = Giant::open(fetch, &wanted, frame.id.chunk(), fetch.chunk(frame.id)?)?;
    let mut source = Attempt { inner: body.take(frame.range.len()), failure: None };
    let ended = giant.decode(&mut source, halt)?;
    match (source.failure, ended) {
        (Some(source), _) => Err(Failure::Read { source }),
        (None, Err(error)) => Err(fetch.damaged(frame, error)),
        (None, Ok(())) => {
            giant.finish(fetch, &wanted)?;
            frame.came();
            board.stored(frame.id, false)
        }
    }
}

/// A giant chunk, as far as it was decoded.
struct Giant<'p> {
    /// Which chunk of its content.
    index: usize,
    chunk: &'p Chunk,
    /// Where it goes; `None` when it is there already.
    partial: Option<Arc<Partial<'p>>>,
    hasher: Hasher,
    /// The last piece. It is held back, as with the last of all the chunk is here.
    held: Vec<u8>,
    /// Where the last piece starts in the file.
    at: u64,
}

impl<'p> Giant<'p> {
    fn open(
        fetch: &'p Fetch<'_>,
        wanted: &Wanted<'_>,
        index: usize,
        chunk: &'p Chunk,
    ) -> Result<Self, Error> {
        let partial = fetch.partials.open(fetch.store, wanted)?;
        // Another pull may have brought it meanwhile: what was verified is not written over with what was not.
        let is_here = |partial: &Arc<Partial<'_>>| wanted.digest_of(index).is_some() && partial.has(index);
        let partial = partial.filter(|partial| !is_here(partial));
        Ok(Self { index, chunk, partial, hasher: Hasher::new(), held: Vec::new(), at: chunk.file.start() })
    }

    /// Decodes all of it; the inner error is that of the frame.
    fn decode(&mut self, source: &mut impl Read, halt: &Halt<'_>) -> Result<io::Result<()>, Failure> {
        let expected = self.chunk.file.len();
        let content = frame::content(source).map_err(|source| Failure::Read { source })?;
        let mut content = content.take(expected.saturating_add(1));
        let (mut piece, mut len) = (Vec::new(), 0_u64);
        loop {
            halt.check()?;
            piece.clear();
            match content.by_ref().take(PIECE_LEN).read_to_end(&mut piece) {
                Ok(0) if len < expected => return Ok(Err(wrong_len(expected, len))),
                Ok(0) => return Ok(Ok(())),
                Ok(count) => len = len.saturating_add(count as u64),
                Err(error) => return Ok(Err(error)),
            }
            if len > expected {
                return Ok(Err(wrong_len(expected, len)));
            }
            self.hasher.update(&piece);
            self.write_held()?;
            mem::swap(&mut self.held, &mut piece);
        }
    }

    fn write_held(&mut self) -> Result<(), Error> {
        if let Some(partial) = self.partial.as_ref().filter(|_| !self.held.is_empty()) {
            partial.write(self.index, self.at, &self.held)?;
        }
        self.at = self.at.saturating_add(self.held.len() as u64);
        Ok(())
    }

    /// Checks the digest, and writes the last piece. Without a digest, only that of the whole tells.
    fn finish(mut self, fetch: &Fetch<'_>, wanted: &Wanted<'_>) -> Result<(), Failure> {
        let found = mem::take(&mut self.hasher).finish_content();
        if wanted.digest_of(self.index).is_some_and(|expected| expected != found) {
            return Err(fetch.wrong_chunk(wanted, self.index, found));
        }
        Ok(self.write_held()?)
    }
}

/// Tells failures to read from failures to decode.
struct Attempt<R> {
    inner: io::Take<R>,
    failure: Option<io::Error>,
}

impl<R: Read> Read for Attempt<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let failed = match self.inner.read(buffer) {
            Ok(0) if self.inner.limit() > 0 && !buffer.is_empty() => io::ErrorKind::ConnectionAborted.into(),
            Err(error) if error.kind() != io::ErrorKind::Interrupted => error,
            other => return other,
        };
        let kind = failed.kind();
        self.failure = Some(failed);
        Err(kind.into())
    }
}

fn wrong_len(expected: u64, found: u64) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the frame holds {found} bytes, expected {expected}"))
}
