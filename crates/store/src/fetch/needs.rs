//! What a layer needs, and where each piece of it is.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};

use chunked::{BlobRange, Chunk, ChunkKind, ContentDigest};

use super::contents::{Contents, Wanted};
use super::here::here;
use super::report::Reused;
use crate::error::Error;
use crate::index::Place;
use crate::store::Store;

/// Frames that are looked up in the index at once.
const LOOKED_UP: usize = 1024;

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

    /// Says that the content is in the store; `false` when somebody said so before.
    pub(super) fn came_first(&self) -> bool {
        !self.came.swap(true, Ordering::AcqRel)
    }

    /// Tells whether the content is in the store.
    pub(super) fn has_come(&self) -> bool {
        self.came.load(Ordering::Acquire)
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

/// What a layer needs, decided from its contents and the store.
#[derive(Debug)]
pub(crate) struct Needs<'a> {
    contents: &'a Contents,
    wants: Vec<Want>,
    /// The frames that are not here, ascending by place in the TOC and in the blob.
    pub(super) frames: Vec<Frame>,
    payload: BlobRange,
    /// What is here already.
    pub(super) reused: Reused,
    /// Whether earlier pulls left something unfinished. Most often they did not, and asking for each content takes longer
    /// than looking once.
    pub(super) has_partials: bool,
}

impl<'a> Needs<'a> {
    /// Compares the contents of a layer, whose frames are in the first `payload_len` bytes of its blob, with the store, on
    /// `jobs` threads; until `stop` says that nobody needs it any more. Those that `elsewhere` knows are left to another layer of the same pull, which comes before this one.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) fn of(
        store: &Store,
        contents: &'a Contents,
        payload_len: u64,
        jobs: NonZeroUsize,
        stop: &AtomicBool,
        elsewhere: &dyn Fn(&ContentDigest) -> bool,
    ) -> Result<Self, Error> {
        let payload = BlobRange::saturating(0, payload_len);
        let (wants, frames) = (Vec::new(), Vec::new());
        let (reused, has_partials) = (Reused::default(), !store.partials().is_empty()?);
        let mut needs = Self { contents, wants, frames, payload, reused, has_partials };
        let mut gathered = HashSet::new();
        for (content, is_here) in contents.iter().zip(here(store, contents, jobs, stop)?) {
            let want = match content {
                None => Want::Nothing,
                Some(Wanted { digest, size, .. }) if gathered.contains(&digest) => needs.reused.same(size),
                Some(Wanted { size, .. }) if is_here => needs.reused.object(size),
                Some(Wanted { digest, size, .. }) if elsewhere(&digest) => needs.reused.elsewhere(size),
                Some(content) => {
                    gathered.insert(content.digest);
                    needs.gather(store, &content)?;
                    Want::Gather
                }
            };
            needs.wants.push(want);
        }
        needs.look_up(store);
        Ok(needs)
    }

    /// Finds out which frames hold what is said to be elsewhere in the store.
    fn look_up(&mut self, store: &Store) {
        let (contents, index) = (self.contents, store.index().view());
        for frames in self.frames.chunks_mut(LOOKED_UP) {
            let chunk_of = |frame: &Frame| {
                let wanted = contents.get(frame.id.entry())?;
                let chunk = wanted.chunks.get(frame.id.chunk())?;
                Some((*digest_of(chunk, &wanted.digest, wanted.chunks.len())?, chunk.file.len()))
            };
            let (known, chunks): (Vec<_>, Vec<_>) =
                frames.iter_mut().filter_map(|frame| chunk_of(frame).map(|chunk| (frame, chunk))).unzip();
            let digests: Vec<_> = chunks.iter().map(|(digest, _)| *digest).collect();
            let places = index.lookup_each(&digests);
            for ((frame, (_, len)), place) in known.into_iter().zip(chunks).zip(places) {
                frame.is_known = place.is_some_and(|place| place.range.len() == len);
            }
        }
    }

    fn gather(&mut self, store: &Store, content: &Wanted<'_>) -> Result<(), Error> {
        let partial = match self.has_partials {
            true => store.partials().find(&content.digest, content.chunks)?,
            false => None,
        };
        for (index, chunk) in content.chunks.iter().enumerate() {
            if chunk.kind == ChunkKind::Zeros {
                continue;
            }
            if let Some(partial) = &partial {
                // The run that wrote it did not come to the digest of the whole. Without another, nobody knows what it is.
                let is_here = match &content.digest_of(index) {
                    Some(digest) => partial.holds(index, digest)?,
                    None => false,
                };
                if is_here {
                    self.reused.resumed(chunk.file.len());
                    continue;
                }
            }
            self.frames.push(Frame {
                id: FrameId::new(content.entry, index),
                range: chunk.blob,
                is_known: false,
                came: AtomicBool::new(false),
            });
        }
        Ok(())
    }

    /// Returns what was compared.
    pub(crate) fn contents(&self) -> &'a Contents {
        self.contents
    }

    /// Lists the contents that have to be gathered.
    pub(crate) fn gathered(&self) -> impl Iterator<Item = ContentDigest> {
        let gathered = self.contents.iter().zip(&self.wants).filter(|(_, want)| **want == Want::Gather);
        gathered.filter_map(|(content, _)| content).map(|content| content.digest)
    }

    /// Returns the stretch of the blob that holds all frames.
    pub(super) fn payload(&self) -> BlobRange {
        self.payload
    }

    /// Lists the ranges of the frames that did not come yet.
    pub(super) fn missing(&self) -> Vec<BlobRange> {
        let missing = self.frames.iter().filter(|frame| !frame.has_come());
        missing.map(|frame| frame.range).collect()
    }

    /// Counts the frames that did not come yet.
    pub(super) fn missing_count(&self) -> usize {
        self.frames.iter().filter(|frame| !frame.has_come()).count()
    }

    /// Lists the frames that did not come yet and lie within a range.
    pub(super) fn missing_in(&self, range: BlobRange) -> impl Iterator<Item = &Frame> {
        let start = self.frames.partition_point(|frame| frame.range.start() < range.start());
        let rest = self.frames.get(start..).unwrap_or_default();
        rest.iter()
            .take_while(move |frame| frame.range.end() <= range.end())
            .filter(|frame| !frame.has_come())
    }

    /// Lists the frames of the entry at a place of the TOC that were not here when the needs were decided.
    pub(super) fn frames_of(&self, entry: usize) -> &[Frame] {
        let start = self.frames.partition_point(|frame| frame.id.entry() < entry);
        let end = self.frames.partition_point(|frame| frame.id.entry() <= entry);
        self.frames.get(start..end).unwrap_or_default()
    }

    /// Tells whether a chunk was not here when the needs were decided, so that somebody brings it.
    pub(super) fn is_awaited(&self, id: FrameId) -> bool {
        self.frames.binary_search_by_key(&id, |frame| frame.id).is_ok()
    }

    pub(super) fn want(&self, entry: usize) -> Want {
        self.wants.get(entry).copied().unwrap_or(Want::Nothing)
    }
}

/// Longest chunk that is decoded in memory: far above what the chunker of any known writer cuts on purpose. Longer ones,
/// which content without a boundary gives, are decoded piece by piece.
pub(super) const SMALL_LEN_MAX: u64 = 4 << 20;

/// Finds where else the store has a chunk of the content `digest`, which consists of `count` chunks.
pub(super) fn place_of(store: &Store, chunk: &Chunk, digest: &ContentDigest, count: usize) -> Option<Place> {
    let place = digest_of(chunk, digest, count).and_then(|digest| store.index().lookup(digest));
    place.filter(|place| place.range.len() == chunk.file.len())
}

/// Returns the digest of a chunk of the content `digest`, which consists of `count` chunks.
fn digest_of<'d>(chunk: &'d Chunk, digest: &'d ContentDigest, count: usize) -> Option<&'d ContentDigest> {
    chunk.digest.as_ref().or((count == 1).then_some(digest))
}
