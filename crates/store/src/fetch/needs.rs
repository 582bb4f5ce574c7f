//! What a layer needs, and where each piece of it is.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use chunked::{BlobRange, Chunk, ChunkKind, ChunkedLayer, Content, ContentDigest, Entry, FileRange, Limits};
use serde::Serialize;

use super::failure::{Failure, show};
use super::report::Reused;
use crate::error::Error;
use crate::index::Place;
use crate::store::Store;

/// A chunk of an entry's content, and the frame that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct FrameId {
    entry: u32,
    chunk: u32,
}

impl FrameId {
    /// Takes the places of an entry in the TOC and of a chunk in its content. A TOC has far fewer than 2^32 rows.
    pub(super) fn new(entry: usize, chunk: usize) -> Self {
        let narrow = |place| u32::try_from(place).unwrap_or(u32::MAX);
        Self { entry: narrow(entry), chunk: narrow(chunk) }
    }

    /// Returns the place of the entry in the TOC.
    pub(super) fn entry(self) -> usize {
        self.entry as usize
    }

    /// Returns the place of the chunk in the content.
    pub(super) fn chunk(self) -> usize {
        self.chunk as usize
    }
}

/// A frame that is not here. There may be a million of them, so it is small.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) id: FrameId,
    /// Where it is in the blob.
    pub(super) range: BlobRange,
    /// Whether its content is said to be elsewhere in the store.
    pub(super) is_known: bool,
    came: AtomicBool,
}

impl Frame {
    /// Says that the content is in the store.
    pub(super) fn came(&self) {
        self.came.store(true, Ordering::Release);
    }
}

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

/// How an entry's content gets to the proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// There is none.
    Nothing,
    /// It is an object, or will be one before the proof comes to it.
    Stored,
    /// Another layer of this pull brings it.
    Elsewhere,
    /// Its chunks are gathered.
    Gather,
}

/// What a layer needs, decided from its TOC and the store.
#[derive(Debug)]
pub struct Needs<'a> {
    pub(super) entries: &'a [Entry],
    wants: Vec<Want>,
    /// The frames that are not here, ascending by place in the TOC and in the blob.
    pub(super) frames: Vec<Frame>,
    payload: BlobRange,
    /// What is here already.
    pub(super) reused: Reused,
}

impl<'a> Needs<'a> {
    /// Compares the TOC of `layer` with the store. Contents that `elsewhere` knows are left to another layer of the same
    /// pull, which comes before this one.
    ///
    /// # Errors
    /// Those of the store; the inner one says why the layer has to be read whole.
    pub fn of(
        store: &Store,
        layer: &'a ChunkedLayer,
        elsewhere: &dyn Fn(&ContentDigest) -> bool,
    ) -> Result<Result<Self, NotInParts>, Error> {
        if let Err(why) = in_parts(layer) {
            return Ok(Err(why));
        }
        let entries = layer.toc.entries.as_slice();
        let payload = BlobRange::saturating(0, layer.payload_len);
        let wants = Vec::with_capacity(entries.len());
        let mut needs = Self { entries, wants, frames: Vec::new(), payload, reused: Reused::default() };
        let mut gathered = HashSet::new();
        // Most often there are none, and asking for each content takes longer than looking once.
        let has_partials = !store.partials().is_empty()?;
        for (index, entry) in entries.iter().enumerate() {
            let want = match contents(entry) {
                None => Want::Nothing,
                Some((digest, _)) if gathered.contains(&digest) => needs.reused.same(entry.size),
                Some((digest, _)) if store.objects().len_of(&digest)? == Some(entry.size) => {
                    needs.reused.object(entry.size)
                }
                Some((digest, _)) if elsewhere(&digest) => needs.reused.elsewhere(entry.size),
                Some((digest, content)) => {
                    gathered.insert(digest);
                    needs.gather(store, has_partials, index, &digest, content)?;
                    Want::Gather
                }
            };
            needs.wants.push(want);
        }
        Ok(Ok(needs))
    }

    fn gather(
        &mut self,
        store: &Store,
        has_partials: bool,
        entry: usize,
        digest: &ContentDigest,
        content: &Content,
    ) -> Result<(), Error> {
        let partial = match has_partials {
            true => store.partials().find(digest, &content.chunks)?,
            false => None,
        };
        for (index, chunk) in content.chunks.iter().enumerate() {
            if chunk.kind == ChunkKind::Zeros {
                continue;
            }
            if let Some(partial) = &partial {
                // The run that wrote it did not come to the digest of the whole.
                let is_here = match &chunk.digest {
                    Some(digest) => partial.holds(index, digest)?,
                    None => partial.has(index),
                };
                if is_here {
                    self.reused.resumed(chunk.file.len());
                    continue;
                }
            }
            self.frames.push(Frame {
                id: FrameId::new(entry, index),
                range: chunk.blob,
                is_known: place_of(store, chunk, digest, content.chunks.len()).is_some(),
                came: AtomicBool::new(false),
            });
        }
        Ok(())
    }

    /// Lists the contents that have to be gathered.
    pub fn gathered(&self) -> impl Iterator<Item = ContentDigest> {
        let gathered = self.entries.iter().zip(&self.wants).filter(|(_, want)| **want == Want::Gather);
        gathered.filter_map(|(entry, _)| contents(entry)).map(|(digest, _)| digest)
    }

    /// Lists the ranges of the blob that neither the store nor anything it knows of holds.
    pub fn ranges(&self) -> Vec<BlobRange> {
        self.frames.iter().filter(|frame| !frame.is_known).map(|frame| frame.range).collect()
    }

    /// Returns the stretch of the blob that holds all frames.
    pub fn payload(&self) -> BlobRange {
        self.payload
    }

    /// Lists the ranges of the frames that did not come yet.
    pub(super) fn missing(&self) -> Vec<BlobRange> {
        let missing = self.frames.iter().filter(|frame| !frame.came.load(Ordering::Acquire));
        missing.map(|frame| frame.range).collect()
    }

    /// Counts the frames that did not come yet.
    pub(super) fn missing_count(&self) -> usize {
        self.frames.iter().filter(|frame| !frame.came.load(Ordering::Acquire)).count()
    }

    /// Lists the frames that did not come yet and lie within a range.
    pub(super) fn missing_in(&self, range: BlobRange) -> impl Iterator<Item = &Frame> {
        let start = self.frames.partition_point(|frame| frame.range.start() < range.start());
        let rest = self.frames.get(start..).unwrap_or_default();
        rest.iter()
            .take_while(move |frame| frame.range.end() <= range.end())
            .filter(|frame| !frame.came.load(Ordering::Acquire))
    }

    /// Tells whether a chunk was not here when the needs were decided, so that somebody brings it.
    pub(super) fn is_awaited(&self, id: FrameId) -> bool {
        self.frames.binary_search_by_key(&id, |frame| frame.id).is_ok()
    }

    pub(super) fn want(&self, entry: usize) -> Want {
        self.wants.get(entry).copied().unwrap_or(Want::Nothing)
    }

    /// Returns the entry, its content's digest and the content; `None` for a number that no frame has.
    pub(super) fn content(&self, entry: usize) -> Option<Wanted<'a>> {
        let entry = self.entries.get(entry)?;
        let (digest, content) = contents(entry)?;
        Some(Wanted { entry, digest, chunks: &content.chunks })
    }
}

/// A content that is gathered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) entry: &'a Entry,
    pub(super) digest: ContentDigest,
    pub(super) chunks: &'a [Chunk],
}

impl Wanted<'_> {
    /// Says that the content has another digest than the TOC has.
    pub(super) fn mismatch(&self, found: ContentDigest) -> Failure {
        Failure::Content { path: show(&self.entry.name), expected: self.digest, found }
    }

    /// Says that a chunk of the content has another digest than the TOC has.
    pub(super) fn wrong_chunk(
        &self,
        range: FileRange,
        expected: ContentDigest,
        found: ContentDigest,
    ) -> Failure {
        Failure::Chunk { path: show(&self.entry.name), range, expected, found }
    }

    /// Tells whether the content is decoded, hashed and stored in one go.
    pub(super) fn is_small(&self) -> bool {
        let is_data = matches!(self.chunks, [only] if only.kind == ChunkKind::Data);
        is_data && self.entry.size <= SMALL_LEN_MAX
    }
}

/// Longest chunk that is decoded in memory: far above what the chunker of any known writer cuts on purpose. Longer ones,
/// which content without a boundary gives, are decoded piece by piece.
pub(super) const SMALL_LEN_MAX: u64 = 4 << 20;

fn contents(entry: &Entry) -> Option<(ContentDigest, &Content)> {
    let content = entry.content.as_ref()?;
    content.digest.map(|digest| (digest, content))
}

/// Finds where else the store has a chunk of the content `digest`, which consists of `count` chunks.
pub(super) fn place_of(store: &Store, chunk: &Chunk, digest: &ContentDigest, count: usize) -> Option<Place> {
    let known = chunk.digest.as_ref().or((count == 1).then_some(digest));
    let place = known.and_then(|digest| store.index().lookup(digest));
    place.filter(|place| place.range.len() == chunk.file.len())
}

/// Tells whether a layer can be fetched in parts.
///
/// # Errors
/// Why it has to be read whole.
pub fn in_parts(layer: &ChunkedLayer) -> Result<(), NotInParts> {
    if !layer.is_vouched_for() {
        return Err(NotInParts::NotVouchedFor);
    }
    if !layer.tar_split.as_ref().is_some_and(|tar_split| tar_split.is_verified) {
        return Err(NotInParts::NoTarSplit);
    }
    let (mut end, mut holes) = (0, 0_u64);
    let limit = Limits::default().tar_holes_len;
    for content in layer.toc.entries.iter().filter_map(|entry| entry.content.as_ref()) {
        if content.digest.is_none() {
            return Err(NotInParts::NoDigest);
        }
        for chunk in &content.chunks {
            if chunk.blob.start() < end || chunk.inner_offset != 0 {
                return Err(NotInParts::Order);
            }
            end = chunk.blob.end();
            if chunk.kind == ChunkKind::Zeros {
                holes = holes.saturating_add(chunk.file.len());
            }
        }
    }
    if holes > limit { Err(NotInParts::Holes { limit }) } else { Ok(()) }
}
