//! Cuts, hashes, compresses, checks and stores batches, each on one thread while they are in its cache.

use crossbeam_channel::{Receiver, Sender};

use super::purpose::Purpose;
use super::reason::PlainReason;
use super::sink::{self, ContentSink};
use super::slab::Stretch;
use super::steps::{Batch, Encoded, EncodedBatch, FileSums, FrameEnd, Framed, Step};
use crate::chunker::{self, Cut};
use crate::digest::ContentDigest;
use crate::entry::{ChunkKind, Entry};
use crate::error::Error;
use crate::frame::{Decoder, Encoder};
use crate::tar_split::Crc64;

/// A batch to do, and where to send the result.
pub(super) struct Job {
    pub(super) batch: Batch,
    pub(super) reply: Sender<EncodedBatch>,
}

/// Does jobs until there are no more.
pub(super) fn run(jobs: &Receiver<Job>, purpose: Purpose<'_>) -> Result<(), Error> {
    let mut worker = Worker {
        frames: Frames { encoder: purpose.encoder(), decoder: purpose.decoder() },
        sink: purpose.sink(),
        scratch: Vec::new(),
        cuts: Vec::new(),
    };
    for Job { batch, reply } in jobs {
        // Nobody waits for the reply when the assembler has failed; the scanner then stops sending.
        let _ = reply.send(worker.batch(batch)?);
    }
    Ok(())
}

struct Worker<'s> {
    frames: Frames,
    sink: Option<&'s dyn ContentSink>,
    scratch: Vec<u8>,
    cuts: Vec<Cut>,
}

impl Worker<'_> {
    fn batch(&mut self, batch: Batch) -> Result<EncodedBatch, Error> {
        let mut done = EncodedBatch { steps: Vec::with_capacity(batch.steps.len()), frames: Vec::new() };
        for step in batch.steps {
            let encoded = self.step(step, &mut done.frames)?;
            done.steps.extend(encoded);
        }
        Ok(done)
    }

    fn step(&mut self, step: Step, frames: &mut Vec<u8>) -> Result<Option<Encoded>, Error> {
        Ok(Some(match step {
            Step::Segment(bytes) => Encoded::Segment(bytes),
            Step::Member(entry) => Encoded::Member(entry),
            Step::Open(entry) => Encoded::Open(entry),
            Step::Close(sums) => Encoded::Close(sums),
            Step::Uncut => Encoded::Uncut,
            Step::Plain(why) => Encoded::Plain(why),
            Step::Irregular(why) => Encoded::Irregular(why),
            Step::End => Encoded::End,
            Step::File(entry, content) => self.file(entry, &content, frames)?,
            Step::Frame(bytes) => {
                let framed = Framed { len: bytes.len() as u64, chunk: None };
                Encoded::Frame(framed, self.frame(&bytes, frames)?)
            }
            Step::Chunk(bytes, kind) => self.chunk(&bytes, kind, frames)?,
            Step::EncodedFrame(framed) => Encoded::Frame(framed, FrameEnd(frames.len())),
            Step::Encoded(bytes) => {
                frames.extend(bytes);
                return Ok(None);
            }
        }))
    }

    fn frame(&mut self, bytes: &Stretch, frames: &mut Vec<u8>) -> Result<FrameEnd, Error> {
        self.frames.add(bytes.whole(&mut self.scratch), frames)
    }

    fn chunk(&mut self, bytes: &Stretch, kind: ChunkKind, frames: &mut Vec<u8>) -> Result<Encoded, Error> {
        let bytes = bytes.whole(&mut self.scratch);
        let chunk = Some((kind, ContentDigest::of(bytes)));
        Ok(Encoded::Frame(Framed { len: bytes.len() as u64, chunk }, self.frames.add(bytes, frames)?))
    }

    /// Cuts, stores and encodes a whole file.
    fn file(&mut self, entry: Box<Entry>, content: &Stretch, frames: &mut Vec<u8>) -> Result<Encoded, Error> {
        let content = content.whole(&mut self.scratch);
        self.cuts.clear();
        chunker::cut(content, &mut self.cuts);
        let too_small = chunker::too_small(self.cuts.len(), content.len() as u64);
        if too_small && self.sink.is_none() {
            let framed = Framed { len: content.len() as u64, chunk: None };
            let end = self.frames.add(content, frames)?;
            return Ok(Encoded::PlainFrame(framed, end, PlainReason::TinyChunks { name: entry.name }));
        }
        if too_small {
            self.cuts.clear();
            self.cuts.push(Cut { end: content.len() as u64, kind: ChunkKind::Data });
        }
        let sums = FileSums { digest: ContentDigest::of(content), crc64: Crc64::of(content) };
        if let Some(sink) = self.sink {
            sink.whole(sums.digest, content).map_err(sink::failed)?;
        }
        let single = self.cuts.len() == 1;
        let mut chunks = Vec::with_capacity(self.cuts.len());
        let mut rest = content;
        for Cut { end, kind } in &self.cuts {
            let len = (*end as usize).saturating_sub(content.len().saturating_sub(rest.len()));
            let (bytes, after) = rest.split_at_checked(len).unwrap_or((rest, &[]));
            rest = after;
            let digest = if single { sums.digest } else { ContentDigest::of(bytes) };
            let framed = Framed { len: bytes.len() as u64, chunk: Some((*kind, digest)) };
            chunks.push((framed, self.frames.add(bytes, frames)?));
        }
        Ok(Encoded::File(entry, chunks, sums))
    }
}

struct Frames {
    /// `None` when no frames are wanted; they are all empty then.
    encoder: Option<Encoder>,
    decoder: Option<Decoder>,
}

impl Frames {
    /// Appends one frame, and decodes it again to compare.
    fn add(&mut self, content: &[u8], frames: &mut Vec<u8>) -> Result<FrameEnd, Error> {
        let Some(encoder) = &mut self.encoder else { return Ok(FrameEnd(frames.len())) };
        let start = frames.len();
        encoder.frame(content, frames).map_err(|source| Error::Compress { source })?;
        if let Some(decoder) = &mut self.decoder {
            let frame = frames.get(start..).unwrap_or_default();
            if !decoder.frames(frame, content.len()).is_ok_and(|decoded| decoded == content) {
                return Err(Error::SelfCheck { what: "frame", source: None });
            }
        }
        Ok(FrameEnd(frames.len()))
    }
}
