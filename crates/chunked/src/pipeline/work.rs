//! Cuts, hashes, compresses, checks and stores batches, each on one thread while they are in its cache.

use crossbeam_channel::{Receiver, Sender};

use super::purpose::Purpose;
use super::reason::PlainReason;
use super::sink::{self, ContentSink};
use super::steps::{Batch, Encoded, EncodedBatch, FileSums, FrameEnd, Framed, Step};
use super::sums::Sums;
use crate::chunker::Cut;
use crate::entry::Entry;
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
}

impl Worker<'_> {
    fn batch(&mut self, mut batch: Batch) -> Result<EncodedBatch, Error> {
        for step in &mut batch.steps {
            if let Step::File(_, bytes) | Step::Chunk(bytes, _) = step {
                bytes.join();
            }
        }
        let mut sums = Sums::of(&batch.steps, self.sink.is_some());
        let mut done = EncodedBatch { steps: Vec::with_capacity(batch.steps.len()), frames: Vec::new() };
        for step in batch.steps {
            let encoded = self.step(step, &mut sums, &mut done.frames)?;
            done.steps.extend(encoded);
        }
        Ok(done)
    }

    fn step(&mut self, step: Step, sums: &mut Sums, frames: &mut Vec<u8>) -> Result<Option<Encoded>, Error> {
        Ok(Some(match step {
            Step::Segment(bytes) => Encoded::Segment(bytes),
            Step::Member(entry) => Encoded::Member(entry),
            Step::Open(entry) => Encoded::Open(entry),
            Step::Close { digest, crc64 } => Encoded::Close { digest, crc64 },
            Step::Uncut => Encoded::Uncut,
            Step::Plain(why) => Encoded::Plain(why),
            Step::Irregular(why) => Encoded::Irregular(why),
            Step::End => Encoded::End,
            Step::File(entry, content) => self.file(entry, content.joined(), sums, frames)?,
            Step::Frame(bytes) => {
                let framed = Framed { len: bytes.len() as u64, chunk: None };
                Encoded::Frame(framed, self.frames.add(bytes.whole(&mut self.scratch), frames)?)
            }
            Step::Chunk(bytes, kind) => {
                let framed = Framed { len: bytes.len() as u64, chunk: Some((kind, sums.digest()?)) };
                Encoded::Frame(framed, self.frames.add(bytes.joined(), frames)?)
            }
            Step::EncodedFrame(framed) => Encoded::Frame(framed, FrameEnd(frames.len())),
            Step::Encoded(bytes) => {
                frames.extend(bytes);
                return Ok(None);
            }
        }))
    }

    /// Stores and encodes a whole file.
    fn file(
        &mut self,
        entry: Box<Entry>,
        content: &[u8],
        sums: &mut Sums,
        frames: &mut Vec<u8>,
    ) -> Result<Encoded, Error> {
        let count = sums.chunks()?;
        if count == 0 {
            let framed = Framed { len: content.len() as u64, chunk: None };
            let end = self.frames.add(content, frames)?;
            return Ok(Encoded::PlainFrame(framed, end, PlainReason::TinyChunks { name: entry.name }));
        }
        let digest = sums.digest()?;
        if let Some(sink) = self.sink {
            sink.whole(digest, content).map_err(sink::failed)?;
        }
        let mut chunks = Vec::with_capacity(count);
        let mut start = 0;
        for _ in 0..count {
            let Cut { end, kind } = sums.cut()?;
            let end = usize::try_from(end).unwrap_or(usize::MAX);
            let bytes = content.get(std::mem::replace(&mut start, end)..end).unwrap_or_default();
            let digest = if count == 1 { digest } else { sums.digest()? };
            let framed = Framed { len: bytes.len() as u64, chunk: Some((kind, digest)) };
            chunks.push((framed, self.frames.add(bytes, frames)?));
        }
        Ok(Encoded::File(entry, chunks, FileSums { digest, crc64: Crc64::of(content) }))
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
