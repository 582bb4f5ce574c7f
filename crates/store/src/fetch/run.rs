//! Frames of a batch that hold one stretch of a content.

use std::ops::Range;

use chunked::{Chunk, ChunkKind, ContentDigest};

use super::Fetch;
use super::board::Piece;
use super::contents::Wanted;
use super::failure::Failure;
use super::needs::{Frame, FrameId};

/// A frame, with where in the bytes of its batch it ends.
pub(super) type BatchFrame<'f> = (&'f Frame, usize);

/// Frames that hold a content from end to end, or some chunks of it in a row.
#[derive(Debug)]
pub(super) struct Run<'b, 'f, 'c> {
    pub(super) frames: &'b [BatchFrame<'f>],
    pub(super) wanted: Wanted<'c>,
    /// Whether they are all frames that the content has, so that the run is all of it, with the zeros that have no frames.
    pub(super) is_whole: bool,
    /// Which chunks it is.
    pub(super) chunks: Range<usize>,
    /// Where it begins in what is decoded together.
    start: usize,
}

impl<'b, 'f, 'c> Run<'b, 'f, 'c> {
    /// Groups the frames of a batch, in their order.
    ///
    /// # Errors
    /// [`Failure::Stopped`] when a frame is of no content, which is a defect.
    pub(super) fn all(fetch: &'c Fetch<'_>, frames: &'b [BatchFrame<'f>]) -> Result<Vec<Self>, Failure> {
        let follows = |one: FrameId, next: FrameId| one.chunk().saturating_add(1) == next.chunk();
        let (mut runs, mut start) = (Vec::new(), 0);
        for group in frames.chunk_by(|(one, _), (next, _)| one.id.entry() == next.id.entry()) {
            let Some((first, _)) = group.first() else { continue };
            let wanted = fetch.wanted(first.id)?;
            if wanted.is_in_memory() && group.len() == wanted.data().count() {
                runs.push(Self {
                    frames: group,
                    wanted,
                    is_whole: true,
                    chunks: 0..wanted.chunks.len(),
                    start,
                });
                start = runs.last().map_or(start, |run| run.span().end);
                continue;
            }
            for frames in group.chunk_by(|(one, _), (next, _)| follows(one.id, next.id)) {
                let first = frames.first().map_or(0, |(frame, _)| frame.id.chunk());
                let chunks = first..first.saturating_add(frames.len());
                runs.push(Self { frames, wanted, is_whole: false, chunks, start });
                start = runs.last().map_or(start, |run| run.span().end);
            }
        }
        Ok(runs)
    }

    /// Returns where its content is in what is decoded together.
    pub(super) fn span(&self) -> Range<usize> {
        let last = self.chunk_list().last().map_or(self.start..self.start, |chunk| self.span_of(chunk));
        self.start..last.end
    }

    /// Returns where a chunk of it is in what is decoded together.
    pub(super) fn span_of(&self, chunk: &Chunk) -> Range<usize> {
        let base = self.chunk_list().first().map_or(0, |first| first.file.start());
        let place = |at: u64| {
            self.start.saturating_add(usize::try_from(at.saturating_sub(base)).unwrap_or(usize::MAX))
        };
        place(chunk.file.start())..place(chunk.file.end())
    }

    /// Lists the chunks of zeros in it.
    pub(super) fn zeros(&self) -> impl Iterator<Item = &Chunk> {
        self.chunk_list().iter().filter(|chunk| chunk.kind == ChunkKind::Zeros)
    }

    /// Lists the chunks with frames that have a digest, and where they are in what is decoded together.
    pub(super) fn vouched_for(&self) -> impl Iterator<Item = (usize, ContentDigest, Range<usize>)> {
        self.frames.iter().filter_map(|(frame, _)| {
            let index = frame.id.chunk();
            let chunk = self.wanted.chunks.get(index)?;
            Some((index, self.wanted.digest_of(index)?, self.span_of(chunk)))
        })
    }

    /// Lists what the proof will ask for: the content, by its first frame, or each chunk.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Piece> {
        let frames = if self.is_whole { self.frames.get(..1).unwrap_or_default() } else { self.frames };
        frames.iter().map(|(frame, _)| {
            let chunk = self.wanted.chunks.get(frame.id.chunk()).filter(|_| !self.is_whole);
            let span = chunk.map_or(self.span(), |chunk| self.span_of(chunk));
            Piece { id: frame.id, span, is_object: self.is_whole }
        })
    }

    fn chunk_list(&self) -> &'c [Chunk] {
        self.wanted.chunks.get(self.chunks.clone()).unwrap_or_default()
    }
}
