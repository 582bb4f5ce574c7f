//! A file too long to be left to one worker: cut as it comes.

use crossbeam_channel::Receiver;

use super::Flow;
use super::batches::{Batches, Open};
use crate::chunker::{self, Chunker, Cut};
use crate::digest::ContentDigest;
use crate::pipeline::purpose::Purpose;
use crate::pipeline::reason::PlainReason;
use crate::pipeline::slab::Stretch;
use crate::pipeline::steps::Step;
use crate::tar_split::Crc64;

/// Chunks of one file, which are held until it ends: enough for 64 GiB of anything but hostile data.
const MOST_CHUNKS: usize = 1 << 20;

/// A long file on its way into chunks.
pub(super) struct Long<'s> {
    pub(super) name: String,
    purpose: Purpose<'s>,
    crc64: Crc64,
    /// `None` when it stays in one piece.
    chunks: Option<Chunks>,
}

#[derive(Default)]
struct Chunks {
    chunker: Chunker,
    cuts: Vec<Cut>,
    /// Where the current chunk starts in the file.
    start: u64,
    made: usize,
    /// The bytes since then.
    open: Open,
}

impl<'s> Long<'s> {
    pub(super) fn new(name: String, purpose: Purpose<'s>) -> Self {
        Self { name, purpose, crc64: Crc64::new(), chunks: Some(Chunks::default()) }
    }

    /// Takes the next bytes.
    pub(super) fn add(&mut self, bytes: &Stretch, batches: &mut Batches) -> Flow<()> {
        bytes.slices().for_each(|slice| self.crc64.update(slice));
        let Some(chunks) = &mut self.chunks else { return Ok(()) };
        bytes.slices().for_each(|slice| chunks.chunker.scan(slice, &mut chunks.cuts));
        chunks.open.bytes.append(bytes);
        if !chunks.are_too_small() {
            return chunks.cut(&self.purpose, batches);
        }
        if self.purpose.sink().is_none() {
            batches.end(std::mem::take(&mut chunks.open), None, &self.purpose)?;
            return Err(PlainReason::TinyChunks { name: self.name.clone() }.into());
        }
        self.chunks = None;
        batches.push(Step::Uncut, 0)
    }

    /// Ends the file, whose digest will come from `digest`.
    pub(super) fn close(mut self, digest: Receiver<ContentDigest>, batches: &mut Batches) -> Flow<()> {
        if let Some(chunks) = &mut self.chunks {
            std::mem::take(&mut chunks.chunker).finish(&mut chunks.cuts);
            chunks.cut(&self.purpose, batches)?;
        }
        batches.push(Step::Close { digest, crc64: self.crc64.finish() }, 0)
    }
}

impl Chunks {
    /// Sends the chunks that have been cut.
    fn cut(&mut self, purpose: &Purpose<'_>, batches: &mut Batches) -> Flow<()> {
        for Cut { end, kind } in std::mem::take(&mut self.cuts) {
            let Open { bytes, giant } = std::mem::take(&mut self.open);
            let done = giant.as_ref().map_or(0, |giant| giant.len());
            let left = end.saturating_sub(self.start).saturating_sub(done);
            let mut rest = bytes;
            let bytes = rest.take(usize::try_from(left).unwrap_or(usize::MAX));
            batches.end(Open { bytes, giant }, Some(kind), purpose)?;
            self.open.bytes = rest;
            self.start = end;
            self.made = self.made.saturating_add(1);
        }
        let settled = self.open.bytes.len().saturating_sub(self.chunker.undecided());
        batches.grow(&mut self.open, settled, purpose)
    }

    /// Tells whether the file is cut into more chunks than is of use to anyone.
    fn are_too_small(&self) -> bool {
        let chunks = self.made.saturating_add(self.cuts.len());
        let len = self.start.saturating_add(self.open.bytes.len() as u64);
        chunks > MOST_CHUNKS || chunker::too_small(chunks, len)
    }
}
