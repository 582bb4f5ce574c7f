//! The contents of a layer, without names and metadata.

use std::ops::Range;

use chunked::{Chunk, ChunkKind, ChunkedLayer, ContentDigest, Entry, FileRange, Limits};
use serde::Serialize;

use super::needs::SMALL_LEN_MAX;
use crate::index::Place;

/// Shortest stretch of zeros that is left out of a file: at least one block of any file system, wherever it begins.
const HOLE_LEN_MIN: u64 = 8 << 10;

/// Why a layer cannot be fetched in parts, although it has a TOC.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotInParts {
    /// The descriptor does not hold the TOC's digest.
    #[error("nothing vouches for the TOC")]
    NotVouchedFor,
    /// Without one, the diff ID can only be had from the whole blob.
    #[error("there is no tar-split that the TOC vouches for")]
    NoTarSplit,
    /// A file could not be checked.
    #[error("the TOC has no digest for a file")]
    NoDigest,
    /// A few bytes of TOC ask for any number of zeros, and all have to be hashed.
    #[error("the TOC has holes of more than {limit} bytes")]
    Holes {
        /// Most bytes that are taken.
        limit: u64,
    },
    /// Frames come in another order than the entries, or overlap.
    #[error("the frames are not in the order of the TOC")]
    Order,
}

impl Serialize for NotInParts {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Tells whether a layer can be fetched in parts.
///
/// # Errors
/// Why it has to be read whole.
pub fn in_parts(layer: &ChunkedLayer) -> Result<(), NotInParts> {
    let mut checked = Checked::default();
    layer.toc.entries.iter().for_each(|entry| checked.add(entry));
    checked.finish(layer)
}

/// What was found of the entries so far.
#[derive(Debug, Default)]
struct Checked {
    /// Where the last frame ends.
    end: u64,
    /// Bytes of zeros.
    holes: u64,
    why: Option<NotInParts>,
}

impl Checked {
    fn add(&mut self, entry: &Entry) {
        let limit = Limits::default().tar_holes_len;
        let Some(content) = &entry.content else { return };
        if content.digest.is_none() {
            self.why.get_or_insert(NotInParts::NoDigest);
        }
        for chunk in &content.chunks {
            if chunk.blob.start() < self.end || chunk.inner_offset != 0 {
                self.why.get_or_insert(NotInParts::Order);
            }
            self.end = chunk.blob.end();
            if chunk.kind == ChunkKind::Zeros {
                self.holes = self.holes.saturating_add(chunk.file.len());
            }
        }
        if self.holes > limit {
            self.why.get_or_insert(NotInParts::Holes { limit });
        }
    }

    fn finish(self, layer: &ChunkedLayer) -> Result<(), NotInParts> {
        if !layer.is_vouched_for() {
            return Err(NotInParts::NotVouchedFor);
        }
        if !layer.tar_split.as_ref().is_some_and(|tar_split| tar_split.is_verified) {
            return Err(NotInParts::NoTarSplit);
        }
        self.why.map_or(Ok(()), Err)
    }
}

/// What the entries of a TOC hold: a third of what the entries take, which for a million files are hundreds of MB.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    rows: Vec<Row>,
    /// The chunks of all, one after another.
    chunks: Vec<Chunk>,
    checked: Checked,
    names: Option<Names>,
}

/// The names of the entries that have content, one after another, and where each ends.
#[derive(Debug, Default)]
struct Names {
    text: String,
    ends: Vec<usize>,
}

impl Names {
    fn add(&mut self, entry: &Entry) {
        if entry.content.is_some() {
            self.text.push_str(&entry.name);
        }
        self.ends.push(self.text.len());
    }

    fn get(&self, entry: usize) -> Option<&str> {
        let start = entry.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.text.get(start..*self.ends.get(entry)?)
    }
}

/// The content of an entry; for one without, no chunks.
#[derive(Debug)]
struct Row {
    digest: ContentDigest,
    size: u64,
    chunks: Range<u32>,
}

impl Contents {
    /// Keeps the names as well, which takes memory, if they are needed to find content by paths.
    pub(crate) fn with_names(are_needed: bool) -> Self {
        Self { names: are_needed.then(Names::default), ..Self::default() }
    }

    /// Adds the next entry of the TOC.
    pub(crate) fn add(&mut self, entry: &Entry) {
        self.checked.add(entry);
        self.names.iter_mut().for_each(|names| names.add(entry));
        // A TOC has far fewer than 2^32 rows.
        let place = |chunks: &[Chunk]| u32::try_from(chunks.len()).unwrap_or(u32::MAX);
        let start = place(&self.chunks);
        let content = entry.content.as_ref();
        self.chunks.extend(content.into_iter().flat_map(|content| &content.chunks));
        let digest = content.and_then(|content| content.digest).unwrap_or(ContentDigest([0; 32]));
        self.rows.push(Row { digest, size: entry.size, chunks: start..place(&self.chunks) });
    }

    /// Tells whether the layer, whose entries were all added, can be fetched in parts.
    ///
    /// # Errors
    /// Why it has to be read whole.
    pub(crate) fn check(&mut self, layer: &ChunkedLayer) -> Result<(), NotInParts> {
        std::mem::take(&mut self.checked).finish(layer)
    }

    /// Tells whether every chunk can be verified before the rest of its file is here.
    pub(crate) fn has_chunk_digests(&self) -> bool {
        let is_verifiable = |chunk: &Chunk| chunk.kind == ChunkKind::Zeros || chunk.digest.is_some();
        let files = self.iter().flatten().filter(|content| content.chunks.len() > 1);
        files.flat_map(|content| content.chunks).all(is_verifiable)
    }

    /// Returns the content of the entry at a place of the TOC; `None` when it has none.
    pub(super) fn get(&self, entry: usize) -> Option<Wanted<'_>> {
        let Row { digest, size, chunks } = self.rows.get(entry)?;
        let chunks = self.chunks.get(chunks.start as usize..chunks.end as usize)?;
        (!chunks.is_empty()).then_some(Wanted { entry, size: *size, digest: *digest, chunks })
    }

    /// Counts the entries.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Goes through the entries in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Option<Wanted<'_>>> {
        (0..self.rows.len()).map(|entry| self.get(entry))
    }

    /// Goes through the contents in order, with their names if these were kept.
    pub(super) fn named(&self) -> impl Iterator<Item = (Wanted<'_>, &str)> {
        let names = self.names.as_ref();
        self.iter().flatten().filter_map(move |content| Some((content, names?.get(content.entry)?)))
    }

    /// Lists the chunks and where they are once everything is here: pieces of files, as a file in one piece is an object
    /// by itself.
    pub(crate) fn places(&self) -> impl Iterator<Item = (ContentDigest, Place)> + '_ {
        self.iter().flatten().filter(|content| content.chunks.len() > 1).flat_map(|content| {
            let data = content.chunks.iter().filter(|chunk| chunk.kind == ChunkKind::Data);
            data.filter_map(move |chunk| {
                Some((chunk.digest?, Place { object: content.digest, range: chunk.file }))
            })
        })
    }
}

/// A content of a layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// The entry, by its place in the TOC.
    pub(super) entry: usize,
    /// Bytes of it.
    pub(super) size: u64,
    pub(super) digest: ContentDigest,
    pub(super) chunks: &'a [Chunk],
}

impl Wanted<'_> {
    /// Lists the chunks that have frames.
    pub(super) fn data(&self) -> impl Iterator<Item = &Chunk> {
        self.chunks.iter().filter(|chunk| chunk.kind == ChunkKind::Data)
    }

    /// Returns the digest of a chunk; `None` when only that of the whole tells whether it is right.
    pub(super) fn digest_of(&self, chunk: usize) -> Option<ContentDigest> {
        if self.chunks.len() == 1 { Some(self.digest) } else { self.chunks.get(chunk)?.digest }
    }

    /// Returns which chunk is the first that has a frame.
    pub(super) fn first_data(&self) -> usize {
        self.chunks.iter().take_while(|chunk| chunk.kind == ChunkKind::Zeros).count()
    }

    /// Tells whether a chunk is the last that has a frame.
    pub(super) fn is_last_data(&self, chunk: usize) -> bool {
        let rest = self.chunks.get(chunk.saturating_add(1)..).unwrap_or_default();
        rest.iter().all(|chunk| chunk.kind == ChunkKind::Zeros)
    }

    /// Tells whether the content may be decoded as a whole.
    pub(super) fn is_in_memory(&self) -> bool {
        self.size <= SMALL_LEN_MAX
    }

    /// Returns the bytes that a chunk takes when it is decoded, with the zeros before it and at the end.
    pub(super) fn room_for(&self, chunk: usize) -> u64 {
        let Some((before, [chunk, after @ ..])) = self.chunks.split_at_checked(chunk) else { return 0 };
        if !self.is_in_memory() {
            return chunk.file.len();
        }
        let is_zeros = |chunk: &&Chunk| chunk.kind == ChunkKind::Zeros;
        let after = if after.iter().all(|chunk| is_zeros(&chunk)) { after } else { &[] };
        let zeros = before.iter().rev().take_while(is_zeros).chain(after);
        zeros.map(|zeros| zeros.file.len()).fold(chunk.file.len(), u64::saturating_add)
    }

    /// Lists the stretches of zeros that are worth a hole.
    pub(super) fn holes(&self) -> Vec<FileRange> {
        let zeros = self.chunks.iter().filter(|chunk| chunk.kind == ChunkKind::Zeros);
        zeros.map(|chunk| chunk.file).filter(|zeros| zeros.len() >= HOLE_LEN_MIN).collect()
    }

    /// Tells whether the content is decoded, hashed and stored in one go.
    pub(super) fn is_small(&self) -> bool {
        let is_data = matches!(self.chunks, [only] if only.kind == ChunkKind::Data);
        is_data && self.is_in_memory()
    }
}
