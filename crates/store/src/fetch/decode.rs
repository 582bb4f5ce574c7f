//! Turns frames into contents of the store.

use std::fmt;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Arc, PoisonError};

use chunked::digest::digests_of;
use chunked::frame::{self, Decoder};

use super::Fetch;
use super::board::Board;
use super::contents::Wanted;
use super::failure::Failure;
use super::halt::Halt;
use super::needs::Frame;
use super::pool::{Decoded, Pool};
use super::run::Run;
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
        let mut runs = Run::all(self.fetch, &batch.frames)?;
        let len = runs.last().map_or(0, |run| run.span().end);
        let mut decoded = Decoded::with_room(self.pool, len as u64);
        decoded.bytes.resize(len, 0);
        self.decode(&batch, &runs, &mut decoded.bytes)?;
        self.check(&mut runs, &decoded.bytes)?;
        let mut pieces = Vec::with_capacity(batch.frames.len());
        for run in &runs {
            let bytes = decoded.bytes.get(run.span()).unwrap_or_default();
            store(self.fetch, &run.wanted, run.chunks.clone(), run.is_whole, bytes)?;
            run.frames.iter().for_each(|(frame, _)| frame.came());
            pieces.extend(run.pieces());
        }
        drop(runs);
        self.pool.give(batch.bytes);
        self.board.offer(pieces, decoded)
    }

    /// Decodes the frames of all runs one after another into `room`.
    fn decode(
        &mut self,
        batch: &Batch<'_>,
        runs: &[Run<'_, '_, '_>],
        room: &mut [u8],
    ) -> Result<(), Failure> {
        let mut start = 0_usize;
        for run in runs {
            for zeros in run.zeros() {
                room.get_mut(run.span_of(zeros)).unwrap_or_default().fill(0);
            }
            for (frame, end) in run.frames {
                let span = run.span_of(self.fetch.chunk(frame.id)?);
                let room = room.get_mut(span).unwrap_or_default();
                let bytes = batch.bytes.get(start..*end).unwrap_or_default();
                self.decoder.frame_into(bytes, room).map_err(|source| self.fetch.damaged(frame, source))?;
                start = *end;
            }
        }
        Ok(())
    }

    /// Hashes the contents that came whole, side by side. One of several chunks that is wrong is left to the proof, which
    /// finds out which of them it is.
    fn check(&self, runs: &mut [Run<'_, '_, '_>], decoded: &[u8]) -> Result<(), Failure> {
        let content = |run: &Run<'_, '_, '_>| decoded.get(run.span()).unwrap_or_default();
        let contents: Vec<_> = runs.iter().filter(|run| run.is_whole).map(content).collect();
        let whole = runs.iter_mut().filter(|run| run.is_whole);
        for (run, found) in whole.zip(digests_of(&contents)) {
            run.is_whole = run.wanted.digest == found;
            if !run.is_whole && run.wanted.is_small() {
                return Err(self.fetch.mismatch(&run.wanted, found));
            }
        }
        Ok(())
    }
}

/// Puts the bytes of some chunks of a content into the store: if they are all of it, and verified, as an object, else into a
/// partial.
pub(super) fn store(
    fetch: &Fetch<'_>,
    wanted: &Wanted<'_>,
    chunks: Range<usize>,
    is_whole: bool,
    bytes: &[u8],
) -> Result<(), Failure> {
    if is_whole {
        fetch.store.objects().put_sparse(&wanted.digest, bytes, &wanted.holes())?;
    } else if let Some(partial) = fetch.partials.open(fetch.store, wanted)? {
        partial.write_chunks(chunks, bytes)?;
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
    let partial = fetch.partials.open(fetch.store, &wanted)?;
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
            board.stored(frame.id, false)
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
