//! What fetching a layer would cost, and why content is not here already: from the TOC alone.
//!
//! ```
//! use morsel_chunked::estimate::{Contents, Estimator, Paths};
//! use morsel_chunked::{Abilities, ChunkedLayer, Entry};
//!
//! /// Estimates what an update takes where `old` is all that is here.
//! fn bytes(old: &[Entry], new: &[ChunkedLayer]) -> u64 {
//!     let (mut contents, mut paths) = (Contents::default(), Paths::default());
//!     for entry in old {
//!         contents.add(entry);
//!         paths.add(entry);
//!     }
//!     let mut estimator = Estimator::new(&contents, &paths);
//!     let estimates = new.iter().map(|layer| estimator.layer(layer, &Abilities::LOCAL));
//!     estimates.flatten().map(|estimate| estimate.plan.fetched() + estimate.metadata_len).sum()
//! }
//! # assert_eq!(bytes(&[], &[]), 0);
//! ```

mod contents;
mod kind;
mod largest;
mod paths;

use std::collections::HashSet;
use std::iter;

use serde::Serialize;

use crate::digest::ContentDigest;
use crate::entry::{Chunk, ChunkKind, Content, Entry};
use crate::layer::ChunkedLayer;
use crate::plan::{FetchPlan, plan};
use crate::range::BlobRange;
use crate::source::Abilities;

pub use contents::Contents;
pub use kind::{Kind, Share, Shares};
pub use largest::{LARGEST_MAX, Largest, Missing};
pub use paths::{Likeness, Paths};

/// Knows which content need not be fetched.
pub trait Known {
    /// Why it may fail to tell.
    type Error;

    /// Tells whether the whole of a content is here, which has `len` bytes.
    ///
    /// # Errors
    /// Its own.
    fn has_content(&self, digest: &ContentDigest, len: u64) -> Result<bool, Self::Error>;

    /// Tells of each chunk of a content whether it is here, as part of another content or of an unfinished one.
    ///
    /// # Errors
    /// Its own.
    fn has_chunks(&self, digest: &ContentDigest, chunks: &[Chunk]) -> Result<Vec<bool>, Self::Error>;
}

/// What a layer would cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// Its files that have bytes, by why they have to be fetched or not.
    pub shares: Shares,
    /// Its files that take the most.
    pub largest: Largest,
    /// How to fetch what is missing.
    pub plan: FetchPlan,
    /// Compressed bytes of the TOC and the tar-split, which are read before anything else.
    pub metadata_len: u64,
}

/// Estimates the layers of a pull, the lowest first: content that one of them brings is not missing from those above.
#[derive(Debug)]
pub struct Estimator<'a, K> {
    known: &'a K,
    paths: &'a Paths,
    /// What the layers so far bring.
    brought: HashSet<ContentDigest>,
}

impl<'a, K: Known> Estimator<'a, K> {
    /// Takes what is here: its contents, and what it has at which path.
    pub fn new(known: &'a K, paths: &'a Paths) -> Self {
        Self { known, paths, brought: HashSet::new() }
    }

    /// Estimates the next layer, whose blob would come from a source with these abilities. The frames of the layer are to
    /// be in the order of its TOC.
    ///
    /// # Errors
    /// Those of what is known.
    pub fn layer(&mut self, layer: &ChunkedLayer, abilities: &Abilities) -> Result<Estimate, K::Error> {
        let (mut shares, mut largest) = (Shares::default(), Largest::default());
        let mut missing = Vec::new();
        for entry in &layer.toc.entries {
            let Some(content) = &entry.content else { continue };
            let (kind, gap) = self.file(entry, content, &mut missing)?;
            shares.of_mut(kind).add(entry.size, entry.size.saturating_sub(gap.len), gap.blob_len);
            largest.offer(&entry.name, kind, gap.blob_len);
        }
        let payload = BlobRange::saturating(0, layer.payload_len);
        let plan = plan(&missing, payload, abilities);
        Ok(Estimate { shares, largest, plan, metadata_len: metadata_len(layer) })
    }

    /// Says why a file has to be fetched or not, and how much of it. Adds its chunks that are missing.
    fn file(
        &mut self,
        entry: &Entry,
        content: &Content,
        missing: &mut Vec<BlobRange>,
    ) -> Result<(Kind, Gap), K::Error> {
        let likeness = self.paths.compare(entry);
        let mut here = Vec::new();
        if let Some(digest) = &content.digest {
            if self.known.has_content(digest, entry.size)? {
                return Ok((Kind::of_present(likeness), Gap::default()));
            }
            if !self.brought.insert(*digest) {
                return Ok((Kind::Duplicate, Gap::default()));
            }
            here = self.known.has_chunks(digest, &content.chunks)?;
        }
        let here = here.into_iter().chain(iter::repeat(false));
        let mut gap = Gap::default();
        for (chunk, is_here) in content.chunks.iter().zip(here) {
            if !is_here && chunk.kind == ChunkKind::Data {
                gap.add(chunk);
                missing.push(chunk.blob);
            }
        }
        Ok((Kind::of_missing(likeness), gap))
    }
}

/// What is missing of a file.
#[derive(Debug, Clone, Copy, Default)]
struct Gap {
    /// Bytes of content.
    len: u64,
    /// Compressed bytes.
    blob_len: u64,
}

impl Gap {
    fn add(&mut self, chunk: &Chunk) {
        self.len = self.len.saturating_add(chunk.file.len());
        self.blob_len = self.blob_len.saturating_add(chunk.blob.len());
    }
}

fn metadata_len(layer: &ChunkedLayer) -> u64 {
    let tar_split = layer.location.tar_split.map_or(0, |located| located.range.len());
    layer.location.toc.range.len().saturating_add(tar_split)
}

#[cfg(test)]
mod tests;
