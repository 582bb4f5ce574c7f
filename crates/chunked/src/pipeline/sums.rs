//! Where the files of a batch are cut, and the digests of its contents, which are hashed side by side.

use std::vec;

use super::steps::Step;
use crate::chunker::{self, Cut};
use crate::digest::{ContentDigest, digests_of};
use crate::entry::ChunkKind;
use crate::error::Error;

/// What a batch's contents sum up to, in the order of its steps.
pub(super) struct Sums {
    /// How many chunks each file has; none when they would be too small.
    chunks: vec::IntoIter<usize>,
    cuts: vec::IntoIter<Cut>,
    /// That of each file, followed by those of its chunks when there are several; that of each chunk of a long file.
    digests: vec::IntoIter<ContentDigest>,
}

impl Sums {
    /// Cuts and hashes what is in `steps`. A file whose chunks would be too small has one with `keep`, and none without.
    pub(super) fn of(steps: &[Step], keep: bool) -> Self {
        let (mut chunks, mut cuts, mut contents) = (Vec::new(), Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Chunk(bytes, _) => contents.push(bytes.joined()),
                Step::File(_, bytes) => {
                    let content = bytes.joined();
                    let before = cuts.len();
                    let count = cut(content, &mut cuts, keep);
                    chunks.push(count);
                    contents.extend((count > 0).then_some(content));
                    if count > 1 {
                        contents.extend(pieces(content, cuts.get(before..).unwrap_or_default()));
                    }
                }
                _ => {}
            }
        }
        let digests = digests_of(&contents);
        Self { chunks: chunks.into_iter(), cuts: cuts.into_iter(), digests: digests.into_iter() }
    }

    /// Returns how many chunks the next file has.
    pub(super) fn chunks(&mut self) -> Result<usize, Error> {
        self.chunks.next().ok_or(Error::WorkerLost)
    }

    /// Returns where the next chunk of the file ends.
    pub(super) fn cut(&mut self) -> Result<Cut, Error> {
        self.cuts.next().ok_or(Error::WorkerLost)
    }

    /// Returns the digest of the next content.
    pub(super) fn digest(&mut self) -> Result<ContentDigest, Error> {
        self.digests.next().ok_or(Error::WorkerLost)
    }
}

/// Cuts a file and returns into how many chunks.
fn cut(content: &[u8], cuts: &mut Vec<Cut>, keep: bool) -> usize {
    let (before, len) = (cuts.len(), content.len() as u64);
    chunker::cut(content, cuts);
    let count = cuts.len().saturating_sub(before);
    if !chunker::too_small(count, len) {
        return count;
    }
    cuts.truncate(before);
    if keep {
        cuts.push(Cut { end: len, kind: ChunkKind::Data });
    }
    cuts.len().saturating_sub(before)
}

/// Splits `content` at its cuts.
fn pieces<'c>(content: &'c [u8], cuts: &[Cut]) -> impl Iterator<Item = &'c [u8]> {
    let mut start = 0;
    cuts.iter().map(move |Cut { end, .. }| {
        let end = usize::try_from(*end).unwrap_or(usize::MAX);
        content.get(std::mem::replace(&mut start, end)..end).unwrap_or_default()
    })
}
