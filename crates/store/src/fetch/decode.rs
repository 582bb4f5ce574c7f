//! Turns frames into contents of the store.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use chunked::digest::digests_of;
use chunked::frame::Decoder;

use super::Fetch;
use super::board::Board;
use super::contents::Wanted;
use super::failure::Failure;
use super::pool::{Decoded, Pool};
use super::run::Run;
use super::transfer::Batch;

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
        let runs = Run::all(self.fetch, &batch.frames)?;
        let len = runs.last().map_or(0, |run| run.span().end);
        let mut decoded = Decoded::with_room(self.pool, len as u64);
        decoded.bytes.resize(len, 0);
        self.decode(&batch, &runs, &mut decoded.bytes)?;
        self.check(&runs, &decoded.bytes)?;
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

    /// Hashes everything before it is stored, as others rely on what is.
    fn check(&self, runs: &[Run<'_, '_, '_>], decoded: &[u8]) -> Result<(), Failure> {
        let (whole, parts): (Vec<_>, Vec<_>) = runs.iter().partition(|run| run.is_whole);
        let contents: Vec<_> = whole.iter().map(|run| decoded.get(run.span()).unwrap_or_default()).collect();
        for (run, found) in whole.into_iter().zip(digests_of(&contents)) {
            if run.wanted.digest != found {
                // If it is one of several chunks that is wrong, this says which.
                self.check_chunks(&[run], decoded)?;
                return Err(self.fetch.mismatch(&run.wanted, found));
            }
        }
        self.check_chunks(&parts, decoded)
    }

    /// Hashes chunks, side by side. One without a digest is left to the proof, which hashes the whole.
    fn check_chunks(&self, runs: &[&Run<'_, '_, '_>], decoded: &[u8]) -> Result<(), Failure> {
        let chunks: Vec<_> = runs.iter().flat_map(|run| run.vouched_for().map(move |it| (run, it))).collect();
        let bytes: Vec<_> =
            chunks.iter().map(|(_, (_, _, span))| decoded.get(span.clone()).unwrap_or_default()).collect();
        for ((run, (index, expected, _)), found) in chunks.iter().zip(digests_of(&bytes)) {
            if *expected != found {
                return Err(self.fetch.wrong_chunk(&run.wanted, *index, found));
            }
        }
        Ok(())
    }
}

/// Puts the bytes of some chunks of a content, which were verified as far as the TOC has digests of them, into the store: if
/// they are all of it, as an object, else into a partial.
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

impl fmt::Debug for Decode<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decode").field("fetch", &self.fetch).finish_non_exhaustive()
    }
}
