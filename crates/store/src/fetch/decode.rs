//! Turns frames into contents of the store.

use std::fmt;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Arc, PoisonError};

use chunked::digest::digests_of;
use chunked::frame::{self, Decoder};

use super::Fetch;
use super::board::Board;
use super::failure::Failure;
use super::halt::Halt;
use super::needs::{Frame, FrameId};
use super::pool::{Decoded, Pool};
use super::transfer::Batch;

/// Bytes of a giant chunk that are written at once.
const PIECE_LEN: usize = 1 << 20;

/// One decoder: a thread's worth of it.
pub(super) struct Decode<'p, 'a> {
    fetch: &'p Fetch<'a>,
    board: &'p Board,
    pool: &'p Arc<Pool>,
    decoder: Decoder,
}

impl<'p, 'a> Decode<'p, 'a> {
    pub(super) fn new(fetch: &'p Fetch<'a>, board: &'p Board, pool: &'p Arc<Pool>) -> Self {
        Self { fetch, board, pool, decoder: Decoder::new() }
    }

    /// Decodes the frames, puts their contents into the store, and leaves them for the proof.
    pub(super) fn batch(&mut self, batch: Batch<'_>) -> Result<(), Failure> {
        let mut decoded = Decoded { bytes: self.pool.take(), pool: Arc::clone(self.pool) };
        let len = usize::try_from(batch.len).unwrap_or(usize::MAX);
        if decoded.bytes.len() < len {
            decoded.bytes.resize(len, 0);
        } else {
            decoded.bytes.truncate(len);
        }
        let spans = self.decode(&batch, &mut decoded.bytes)?;
        let content = |span: &Range<usize>| decoded.bytes.get(span.clone()).unwrap_or_default();
        self.check(spans.iter().map(|(frame, span)| (frame.id, content(span))))?;
        let follows = |one: &FrameId, next: &FrameId| {
            one.entry() == next.entry() && one.chunk().saturating_add(1) == next.chunk()
        };
        for run in spans.chunk_by(|(one, _), (next, _)| follows(&one.id, &next.id)) {
            let [(first, from), ..] = run else { continue };
            let to = run.last().map_or(from.end, |(_, span)| span.end);
            store(self.fetch, first.id, run.len(), content(&(from.start..to)))?;
            run.iter().for_each(|(frame, _)| frame.came());
        }
        let spans = spans.into_iter().map(|(frame, span)| (frame.id, span)).collect();
        self.pool.give(batch.bytes);
        self.board.offer(spans, decoded)
    }

    /// Decodes the frames one after another into `room`; tells where the content of each is.
    fn decode<'f>(
        &mut self,
        batch: &Batch<'f>,
        room: &mut [u8],
    ) -> Result<Vec<(&'f Frame, Range<usize>)>, Failure> {
        let mut spans = Vec::with_capacity(batch.frames.len());
        let (mut start, mut at) = (0_usize, 0_usize);
        for (frame, end) in &batch.frames {
            let len = usize::try_from(self.fetch.chunk(frame.id)?.file.len()).unwrap_or(usize::MAX);
            let span = at..at.saturating_add(len);
            let room = room.get_mut(span.clone()).unwrap_or_default();
            let bytes = batch.bytes.get(start..*end).unwrap_or_default();
            self.decoder.frame_into(bytes, room).map_err(|source| self.fetch.damaged(frame, source))?;
            (start, at) = (*end, span.end);
            spans.push((*frame, span));
        }
        Ok(spans)
    }

    /// Hashes the small files among the contents, side by side.
    fn check<'c>(&self, contents: impl Iterator<Item = (FrameId, &'c [u8])>) -> Result<(), Failure> {
        let (mut small, mut bytes) = (Vec::new(), Vec::new());
        for (id, content) in contents {
            let wanted = self.fetch.wanted(id)?;
            if wanted.is_small() {
                small.push(wanted);
                bytes.push(content);
            }
        }
        let digests = digests_of(&bytes).into_iter();
        match small.iter().zip(digests).find(|(wanted, found)| wanted.digest != *found) {
            Some((wanted, found)) => Err(self.fetch.mismatch(wanted, found)),
            None => Ok(()),
        }
    }
}

/// Puts the content of `count` chunks in a row into the store: a small file, which is verified, as an object; anything else
/// into a partial.
pub(super) fn store(fetch: &Fetch<'_>, first: FrameId, count: usize, bytes: &[u8]) -> Result<(), Failure> {
    let wanted = fetch.wanted(first)?;
    if wanted.is_small() {
        fetch.store.objects().put(&wanted.digest, bytes)?;
    } else if let Some(partial) = fetch.partials.open(fetch.store, &wanted, first)? {
        partial.write_chunks(first.chunk()..first.chunk().saturating_add(count), bytes)?;
    }
    Ok(())
}

/// Decodes a chunk that is too long to be held in memory, while it comes. One at a time, as each may need a window of
/// 128 MiB.
pub(super) fn giant(
    fetch: &Fetch<'_>,
    frame: &Frame,
    body: &mut impl Read,
    board: &Board,
    halt: &Halt<'_>,
) -> Result<(), Failure> {
    let _alone = fetch.giant.lock().unwrap_or_else(PoisonError::into_inner);
    let wanted = fetch.wanted(frame.id)?;
    let chunk = fetch.chunk(frame.id)?;
    let partial = fetch.partials.open(fetch.store, &wanted, frame.id)?;
    let mut source = Attempt { inner: body.take(frame.range.len()), failure: None };
    let mut content = frame::content(&mut source)
        .map_err(|source| Failure::Read { source })?
        .take(chunk.file.len().saturating_add(1));
    let mut piece = vec![0; PIECE_LEN];
    let mut at = chunk.file.start();
    let ended = loop {
        halt.check()?;
        let count = match fill(&mut content, &mut piece) {
            Ok(0) => break None,
            Ok(count) => count,
            Err(error) => break Some(error),
        };
        let end = at.saturating_add(count as u64);
        if end > chunk.file.end() {
            break Some(wrong_len(chunk.file.len(), end.saturating_sub(chunk.file.start())));
        }
        if let Some(partial) = &partial {
            partial.write(frame.id.chunk(), at, piece.get(..count).unwrap_or_default())?;
        }
        at = end;
    };
    drop(content);
    match (source.failure, ended) {
        (Some(source), _) => Err(Failure::Read { source }),
        (None, Some(error)) => Err(fetch.damaged(frame, error)),
        (None, None) if at < chunk.file.end() => {
            let found = at.saturating_sub(chunk.file.start());
            Err(fetch.damaged(frame, wrong_len(chunk.file.len(), found)))
        }
        (None, None) => {
            frame.came();
            board.stored(frame.id)
        }
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

/// Reads until `piece` is full or the content ends.
fn fill(content: &mut impl Read, piece: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while let Some(room) = piece.get_mut(len..).filter(|room| !room.is_empty()) {
        match content.read(room) {
            Ok(0) => break,
            Ok(count) => len = len.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

fn wrong_len(expected: u64, found: u64) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the frame holds {found} bytes, expected {expected}"))
}

impl fmt::Debug for Decode<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decode").field("fetch", &self.fetch).finish_non_exhaustive()
    }
}
