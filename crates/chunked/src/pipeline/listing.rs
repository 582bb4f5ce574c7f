//! Lists in TOC and tar-split what the tar holds, and where in the blob its chunks came to lie.

use serde::{Deserialize, Serialize};

use super::metadata::{Documents, Metadata};
use super::reason::PlainReason;
use super::steps::{Encoded, EncodedBatch, FileSums, FrameEnd, Framed};
use crate::entry::{Chunk, ChunkKind, Content, Entry};
use crate::error::Error;
use crate::limits::Limits;
use crate::range::{BlobRange, FileRange};

/// What a blob holds, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Members of the tar, as far as it could be walked.
    pub entries: u64,
    /// Regular files with content.
    pub files: u64,
    /// Chunks of content, holes included; at least one for each file.
    pub chunks: u64,
    /// Chunks that are holes.
    pub holes: u64,
    /// zstd frames that hold tar bytes.
    pub frames: u64,
    /// Bytes of TOC, tar-split, footer, and the headers of their skippable frames.
    pub metadata_blob_len: u64,
}

/// The layer as far as it has been listed.
pub(crate) struct Listing {
    metadata: Metadata,
    most_rows: u64,
    most_attributes: u64,
    /// Extended attributes so far.
    attributes: u64,
    /// Where the next frame starts in the blob.
    frame_start: u64,
    /// Bytes of tar in its frames.
    tar_len: u64,
    scratch: Vec<u8>,
    /// The member whose chunks are coming.
    open: Option<(Box<Entry>, Vec<Chunk>)>,
    counts: Counts,
}

/// The layer, listed.
pub(crate) struct Listed {
    pub(crate) documents: Documents,
    /// Bytes of tar in the frames.
    pub(crate) tar_len: u64,
    pub(crate) counts: Counts,
}

impl Listing {
    pub(crate) fn new(limits: &Limits) -> Result<Self, Error> {
        Ok(Self {
            metadata: Metadata::new(limits).map_err(failed)?,
            most_rows: limits.entries,
            most_attributes: limits.toc_attributes,
            attributes: 0,
            frame_start: 0,
            tar_len: 0,
            scratch: Vec::new(),
            open: None,
            counts: Counts::default(),
        })
    }

    /// Lists a batch whose frames start at `base` in the blob, and tells whether it was the last.
    pub(crate) fn batch(&mut self, base: u64, batch: EncodedBatch) -> Result<bool, Error> {
        let mut ended = false;
        for step in batch.steps {
            match step {
                Encoded::Segment(bytes) => {
                    // One record for each, as readers parse every segment by itself.
                    let bytes = bytes.whole(&mut self.scratch);
                    self.metadata.segment(bytes).map_err(failed)?;
                }
                Encoded::Member(entry) => self.member(&entry, 0)?,
                Encoded::Frame(framed, end) => self.frame(base, framed, end),
                Encoded::File(entry, chunks, sums) => {
                    self.open = Some((entry, Vec::with_capacity(chunks.len())));
                    chunks.into_iter().for_each(|(framed, end)| self.frame(base, framed, end));
                    self.close(sums)?;
                }
                Encoded::Open(entry) => self.open = Some((entry, Vec::new())),
                Encoded::Uncut => self.open.iter_mut().for_each(|(_, chunks)| chunks.clear()),
                Encoded::Close { digest, crc64 } => {
                    let digest = digest.recv().map_err(|_| Error::WorkerLost)?;
                    self.close(FileSums { digest, crc64 })?;
                }
                Encoded::PlainFrame(framed, end, why) => {
                    self.frame(base, framed, end);
                    self.metadata.give_up(why);
                }
                Encoded::Plain(why) => self.metadata.give_up(why),
                Encoded::Irregular(why) => self.metadata.give_up_tar_split(why),
                Encoded::End => ended = true,
            }
        }
        Ok(ended)
    }

    pub(crate) fn finish(self) -> Result<Listed, Error> {
        let documents = self.metadata.finish().map_err(failed)?;
        Ok(Listed { documents, tar_len: self.tar_len, counts: self.counts })
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
        if let Some((file, blob)) = ranges.filter(|_| self.metadata.has_toc()) {
            chunks.push(Chunk { file, blob, inner_offset: 0, digest: Some(digest), kind });
        }
    }

    fn close(&mut self, sums: FileSums) -> Result<(), Error> {
        let Some((mut entry, mut chunks)) = self.open.take() else { return Ok(()) };
        self.counts.files = self.counts.files.saturating_add(1);
        if chunks.is_empty() {
            let (file, blob) = (FileRange::saturating(0, entry.size), BlobRange::saturating(0, 0));
            let (digest, kind) = (Some(sums.digest), ChunkKind::Data);
            chunks.push(Chunk { file, blob, inner_offset: 0, digest, kind });
        }
        let ends = chunks.first().zip(chunks.last());
        let range = ends.and_then(|(first, last)| BlobRange::new(first.blob.start(), last.blob.end()));
        entry.content = range.map(|range| Content { digest: Some(sums.digest), range, chunks });
        self.member(&entry, sums.crc64)
    }

    fn member(&mut self, entry: &Entry, crc64: u64) -> Result<(), Error> {
        self.counts.entries = self.counts.entries.saturating_add(1);
        if self.counts.chunks.saturating_add(self.counts.entries) > self.most_rows {
            self.metadata.give_up(PlainReason::TooManyRows { limit: self.most_rows });
        }
        self.attributes = self.attributes.saturating_add(entry.xattrs.len() as u64);
        if self.attributes > self.most_attributes {
            self.metadata.give_up(PlainReason::TooManyAttributes { limit: self.most_attributes });
        }
        self.metadata.member(entry, crc64).map_err(failed)
    }
}

fn failed(source: std::io::Error) -> Error {
    Error::Compress { source }
}
