//! TOC and tar-split as they grow: compressed while they are written, held until the end of the blob.

use std::io::{self, Write};

use super::reason::PlainReason;
use crate::digest::{TarSplitDigest, TocDigest};
use crate::entry::Entry;
use crate::frame::{Encoder, Level};
use crate::limits::Limits;
use crate::{tar_split, toc};

/// Digests and base64 leave little to find: for 38 000 entries level 1 gives 6.15 MB of TOC and tar-split in 0.08 s, level
/// 3 gives 6.66 MB in 0.2 s, level 9 gives 5.96 MB in 1 s (measured).
const LEVEL: i32 = 1;

/// Bytes compressed at a time.
const PIECE_LEN: usize = 128 << 10;

/// A TOC and a tar-split being written, or why there is none.
pub(super) struct Metadata {
    toc: Result<toc::Writer<Document>, PlainReason>,
    tar_split: Result<tar_split::Writer<Document>, PlainReason>,
}

/// A compressed JSON document.
pub(crate) struct Compressed {
    pub(crate) blob: Vec<u8>,
    /// Bytes when decompressed.
    pub(crate) len: u64,
}

/// Both documents, or why there is none.
pub(crate) struct Documents {
    pub(crate) toc: Result<(Compressed, TocDigest), PlainReason>,
    /// The TOC holds its digest.
    pub(crate) tar_split: Result<(Compressed, TarSplitDigest), PlainReason>,
}

impl Metadata {
    /// Starts both. What grows beyond `limits` is given up.
    pub(super) fn new(limits: &Limits) -> io::Result<Self> {
        let toc = Document::new(limits.toc_blob_len, limits.toc_len);
        let tar_split = Document::new(limits.tar_split_blob_len, limits.tar_split_len);
        Ok(Self { toc: Ok(toc::Writer::new(toc)?), tar_split: Ok(tar_split::Writer::new(tar_split)) })
    }

    pub(super) fn has_toc(&self) -> bool {
        self.toc.is_ok()
    }

    /// Goes on without both. The first reason is kept.
    pub(super) fn give_up(&mut self, why: PlainReason) {
        if self.toc.is_ok() {
            self.toc = Err(why.clone());
        }
        self.give_up_tar_split(why);
    }

    /// Goes on without tar-split. The first reason is kept.
    pub(super) fn give_up_tar_split(&mut self, why: PlainReason) {
        if self.tar_split.is_ok() {
            self.tar_split = Err(why);
        }
    }

    pub(super) fn segment(&mut self, bytes: &[u8]) -> io::Result<()> {
        add(&mut self.tar_split, |writer| writer.segment(bytes))
    }

    /// Adds a member whose headers have been added as a segment.
    pub(super) fn member(&mut self, entry: &Entry, crc64: u64) -> io::Result<()> {
        add(&mut self.tar_split, |writer| writer.file(entry.name.as_bytes(), entry.size, crc64))?;
        add(&mut self.toc, |writer| writer.entry(entry))
    }

    pub(super) fn finish(self) -> io::Result<Documents> {
        let tar_split = match self.tar_split {
            Ok(writer) => {
                let document = writer.finish().finish()?;
                let digest = TarSplitDigest::of(&document.blob);
                Ok((document, digest))
            }
            Err(why) => Err(why),
        };
        let tar_split_digest = tar_split.as_ref().ok().map(|(_, digest)| digest);
        let toc = match self.toc {
            Ok(writer) => {
                let document = writer.finish(tar_split_digest)?.finish()?;
                let digest = TocDigest::of(&document.blob);
                Ok((document, digest))
            }
            Err(why) => Err(why),
        };
        Ok(Documents { toc, tar_split })
    }
}

/// Adds to a document, if it is still written, and gives it up when it grows beyond its limit.
fn add<W>(
    document: &mut Result<W, PlainReason>,
    add: impl FnOnce(&mut W) -> io::Result<()>,
) -> io::Result<()> {
    let Ok(writer) = document else { return Ok(()) };
    match add(writer) {
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            *document = Err(PlainReason::MetadataTooLarge);
            Ok(())
        }
        result => result,
    }
}

/// Compresses what is written into memory, in pieces that do not depend on how it is written.
struct Document {
    encoder: Encoder,
    waiting: Vec<u8>,
    blob: Vec<u8>,
    len: u64,
    blob_limit: u64,
    limit: u64,
}

impl Document {
    fn new(blob_limit: u64, limit: u64) -> Self {
        let encoder = Encoder::new(Level::new(LEVEL).unwrap_or_default());
        Self { encoder, waiting: Vec::with_capacity(PIECE_LEN), blob: Vec::new(), len: 0, blob_limit, limit }
    }

    fn finish(mut self) -> io::Result<Compressed> {
        self.encoder.piece(&self.waiting, true, &mut self.blob)?;
        Ok(Compressed { blob: self.blob, len: self.len })
    }
}

impl Write for Document {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let free = PIECE_LEN.saturating_sub(self.waiting.len());
        let taken = bytes.get(..free).unwrap_or(bytes);
        self.waiting.extend_from_slice(taken);
        self.len = self.len.saturating_add(taken.len() as u64);
        if self.len > self.limit || self.blob.len() as u64 > self.blob_limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if self.waiting.len() == PIECE_LEN {
            self.encoder.piece(&self.waiting, false, &mut self.blob)?;
            self.waiting.clear();
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
