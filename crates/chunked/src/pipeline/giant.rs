//! A frame too long to hold: a chunk that never splits, a huge hole, a million headers in a row.

use super::purpose::Purpose;
use super::slab::{SLAB_LEN, Stretch};
use crate::digest::{ContentDigest, Hasher};
use crate::error::Error;
use crate::frame::{Decoder, Encoder};

/// Content longer than this is compressed piece by piece while it is read.
pub(super) const GIANT_LEN: usize = 4 << 20;

/// Bytes compressed at a time. Pieces are counted from the frame's start, so they depend on its content alone.
const PIECE_LEN: usize = SLAB_LEN;

/// A frame being compressed, or content just being hashed, piece by piece.
pub(super) struct Giant {
    encoder: Option<Encoder>,
    check: Option<Check>,
    content: Hasher,
    len: u64,
    scratch: Vec<u8>,
}

/// Decodes the frame as it grows, to compare its content's digest in the end.
struct Check {
    decoder: Decoder,
    content: Hasher,
    ended: bool,
}

impl Giant {
    pub(super) fn new(purpose: &Purpose<'_>) -> Self {
        let check = |decoder| Check { decoder, content: Hasher::new(), ended: false };
        Self {
            encoder: purpose.encoder(),
            check: purpose.decoder().map(check),
            content: Hasher::new(),
            len: 0,
            scratch: Vec::new(),
        }
    }

    /// Returns how many bytes of content are done with.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Compresses whole pieces of the first `settled` bytes of `content`, taking them away, as long as more follows: the
    /// last piece is for [`finish`](Self::finish).
    pub(super) fn grow(&mut self, content: &mut Stretch, settled: usize) -> Result<Vec<u8>, Error> {
        let mut frame = Vec::new();
        let mut left = settled;
        while left > PIECE_LEN {
            let piece = content.take(PIECE_LEN);
            left = left.saturating_sub(PIECE_LEN);
            self.piece(&piece, false, &mut frame)?;
        }
        Ok(frame)
    }

    /// Compresses the rest, and returns the last bytes of the frame, the length and the digest of its content.
    pub(super) fn finish(mut self, mut rest: Stretch) -> Result<(Vec<u8>, u64, ContentDigest), Error> {
        let settled = rest.len();
        let mut frame = self.grow(&mut rest, settled)?;
        self.piece(&rest, true, &mut frame)?;
        let digest = self.content.finish_content();
        let wrong = self.check.is_some_and(|check| !check.ended || check.content.finish_content() != digest);
        if wrong {
            Err(Error::SelfCheck { what: "frame", source: None })
        } else {
            Ok((frame, self.len, digest))
        }
    }

    fn piece(&mut self, piece: &Stretch, last: bool, frame: &mut Vec<u8>) -> Result<(), Error> {
        let bytes = piece.whole(&mut self.scratch);
        self.content.update(bytes);
        self.len = self.len.saturating_add(bytes.len() as u64);
        let Some(encoder) = &mut self.encoder else { return Ok(()) };
        let start = frame.len();
        encoder.piece(bytes, last, frame).map_err(|source| Error::Compress { source })?;
        let Some(Check { decoder, content, ended }) = &mut self.check else { return Ok(()) };
        let new = frame.get(start..).unwrap_or_default();
        let hash = |bytes: &[u8]| {
            content.update(bytes);
            Ok(())
        };
        *ended = decoder.piece(new, hash).map_err(|_| Error::SelfCheck { what: "frame", source: None })?;
        Ok(())
    }
}
