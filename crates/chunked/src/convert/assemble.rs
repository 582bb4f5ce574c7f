//! Puts encoded batches in order: writes and hashes the blob, and lists in the TOC where everything came to lie.

use std::io::{self, Write};

use crossbeam_channel::Receiver;

use super::metadata::{Compressed, Metadata};
use super::report::{Counts, Outcome, PlainReason};
use super::steps::{Encoded, EncodedBatch, FileSums, FrameEnd, Framed};
use super::{Options, SelfCheck, check};
use crate::digest::{BlobDigest, Hasher};
use crate::entry::{Chunk, ChunkKind, Content, Entry};
use crate::error::Error;
use crate::footer;
use crate::frame::{Encoder, skippable_header};
use crate::location::{Located, Location};
use crate::range::{BlobRange, FileRange};

/// The blob, complete.
pub(super) struct Assembled {
    pub(super) outcome: Outcome,
    pub(super) blob_digest: BlobDigest,
    pub(super) blob_len: u64,
    /// Bytes of tar in its frames.
    pub(super) tar_len: u64,
    pub(super) counts: Counts,
}

/// Writes the batches as they come, in order. `None` when they end too early, because another stage failed.
pub(super) fn run(
    order: Receiver<Receiver<EncodedBatch>>,
    output: impl Write,
    options: &Options,
) -> Result<Option<Assembled>, Error> {
    let metadata = Metadata::new(&options.limits).map_err(|source| Error::Compress { source })?;
    let mut assembler = Assembler {
        blob: Blob { output, hasher: Hasher::new(), len: 0 },
        listing: Listing::Toc(Box::new(metadata)),
        options,
        frame_start: 0,
        tar_len: 0,
        scratch: Vec::new(),
        open: None,
        counts: Counts::default(),
    };
    for encoded in order {
        let Ok(batch) = encoded.recv() else { return Ok(None) };
        if assembler.batch(batch)? {
            return assembler.finish().map(Some);
        }
    }
    Ok(None)
}

struct Blob<W> {
    output: W,
    hasher: Hasher,
    len: u64,
}

impl<W: Write> Blob<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.hasher.update(bytes);
        self.len = self.len.saturating_add(bytes.len() as u64);
        self.output.write_all(bytes).map_err(|source| Error::Write { what: "the blob", source })
    }

    fn write_metadata(&mut self, metadata: Metadata, options: &Options) -> Result<Outcome, Error> {
        let (toc, toc_digest, tar_split, tar_split_digest) =
            metadata.finish().map_err(|source| Error::Compress { source })?;
        if options.self_check == SelfCheck::On {
            check::metadata(&toc, &tar_split, self.len, &options.limits)?;
        }
        let location =
            Location { toc: self.write_skippable(&toc)?, tar_split: Some(self.write_skippable(&tar_split)?) };
        self.write(&footer::encode(&location))?;
        Ok(Outcome::Chunked { toc_digest, tar_split_digest, location })
    }

    fn write_skippable(&mut self, document: &Compressed) -> Result<Located, Error> {
        let too_long = || Error::Compress { source: io::ErrorKind::FileTooLarge.into() };
        self.write(&skippable_header(document.blob.len()).ok_or_else(too_long)?)?;
        let range = BlobRange::with_len(self.len, document.blob.len() as u64).ok_or_else(too_long)?;
        self.write(&document.blob)?;
        Ok(Located { range, len: document.len })
    }
}

/// Whether the layer still gets a TOC.
enum Listing {
    Toc(Box<Metadata>),
    Plain(PlainReason),
}

struct Assembler<'o, W> {
    blob: Blob<W>,
    listing: Listing,
    options: &'o Options,
    /// Where the next frame starts in the blob.
    frame_start: u64,
    tar_len: u64,
    scratch: Vec<u8>,
    /// The member whose chunks are coming.
    open: Option<(Box<Entry>, Vec<Chunk>)>,
    counts: Counts,
}

impl<W: Write> Assembler<'_, W> {
    /// Writes a batch, and tells whether it was the last.
    fn batch(&mut self, batch: EncodedBatch) -> Result<bool, Error> {
        let base = self.blob.len;
        self.blob.write(&batch.frames)?;
        let mut ended = false;
        for step in batch.steps {
            match step {
                Encoded::Segment(bytes) => {
                    // One record for each, as readers parse every segment by itself.
                    let mut scratch = std::mem::take(&mut self.scratch);
                    self.list(|metadata| metadata.segment(bytes.whole(&mut scratch)))?;
                    self.scratch = scratch;
                }
                Encoded::Member(entry) => self.member(&entry, 0)?,
                Encoded::Frame(framed, end) => self.frame(base, framed, end),
                Encoded::File(entry, chunks, sums) => {
                    self.open = Some((entry, Vec::with_capacity(chunks.len())));
                    chunks.into_iter().for_each(|(framed, end)| self.frame(base, framed, end));
                    self.close(sums)?;
                }
                Encoded::Open(entry) => self.open = Some((entry, Vec::new())),
                Encoded::Close(sums) => self.close(sums)?,
                Encoded::PlainFrame(framed, end, why) => {
                    self.frame(base, framed, end);
                    self.give_up(why);
                }
                Encoded::Plain(why) => self.give_up(why),
                Encoded::End => ended = true,
            }
        }
        Ok(ended)
    }

    fn list(&mut self, add: impl FnOnce(&mut Metadata) -> io::Result<()>) -> Result<(), Error> {
        let Listing::Toc(metadata) = &mut self.listing else { return Ok(()) };
        match add(metadata) {
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                self.give_up(PlainReason::MetadataTooLarge);
                Ok(())
            }
            result => result.map_err(|source| Error::Compress { source }),
        }
    }

    /// Goes on without a TOC. The first reason is kept.
    fn give_up(&mut self, why: PlainReason) {
        if let Listing::Toc(_) = self.listing {
            self.listing = Listing::Plain(why);
        }
    }

    /// Notes that a frame ended, and if it is a chunk where it lies.
    fn frame(&mut self, base: u64, framed: Framed, end: FrameEnd) {
        let start = self.frame_start;
        self.frame_start = base.saturating_add(end.0 as u64);
        self.tar_len = self.tar_len.saturating_add(framed.len);
        self.counts.frames = self.counts.frames.saturating_add(1);
        let Some((kind, digest)) = framed.chunk else { return };
        self.counts.chunks = self.counts.chunks.saturating_add(1);
        self.counts.holes = self.counts.holes.saturating_add(u64::from(kind == ChunkKind::Zeros));
        let Some((_, chunks)) = &mut self.open else { return };
        let file_start = chunks.last().map_or(0, |last| last.file.end());
        let ranges = FileRange::with_len(file_start, framed.len).zip(BlobRange::new(start, self.frame_start));
        if let (Some((file, blob)), Listing::Toc(_)) = (ranges, &self.listing) {
            chunks.push(Chunk { file, blob, inner_offset: 0, digest: Some(digest), kind });
        }
    }

    fn close(&mut self, sums: FileSums) -> Result<(), Error> {
        let Some((mut entry, chunks)) = self.open.take() else { return Ok(()) };
        self.counts.files = self.counts.files.saturating_add(1);
        let ends = chunks.first().zip(chunks.last());
        let range = ends.and_then(|(first, last)| BlobRange::new(first.blob.start(), last.blob.end()));
        entry.content = range.map(|range| Content { digest: Some(sums.digest), range, chunks });
        self.member(&entry, sums.crc64)
    }

    fn member(&mut self, entry: &Entry, crc64: u64) -> Result<(), Error> {
        self.counts.entries = self.counts.entries.saturating_add(1);
        let limit = self.options.limits.entries;
        if self.counts.chunks.saturating_add(self.counts.entries) > limit {
            self.give_up(PlainReason::TooManyRows { limit });
        }
        self.list(|metadata| metadata.member(entry, crc64))
    }

    fn finish(mut self) -> Result<Assembled, Error> {
        if self.blob.len == 0 {
            // Decoders take no frame at all for a truncated one.
            let mut frame = Vec::new();
            let mut encoder = Encoder::new(self.options.level);
            encoder.frame(&[], &mut frame).map_err(|source| Error::Compress { source })?;
            self.counts.frames = 1;
            self.blob.write(&frame)?;
        }
        let payload_len = self.blob.len;
        let outcome = match self.listing {
            Listing::Plain(why) => Outcome::Plain { why },
            Listing::Toc(metadata) => self.blob.write_metadata(*metadata, self.options)?,
        };
        self.blob.output.flush().map_err(|source| Error::Write { what: "the blob", source })?;
        self.counts.metadata_blob_len = self.blob.len.saturating_sub(payload_len);
        Ok(Assembled {
            outcome,
            blob_digest: BlobDigest(self.blob.hasher.finish()),
            blob_len: self.blob.len,
            tar_len: self.tar_len,
            counts: self.counts,
        })
    }
}
