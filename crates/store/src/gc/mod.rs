//! Garbage collection: removes what no image needs, and, where there is too little room, what can be fetched again.

mod evict;
mod mark;
mod sweep;

use std::collections::BTreeSet;

use chunked::{ContentDigest, TocDigest};
use serde::Serialize;

pub use self::evict::{Evicted, Eviction, Quota, evict, plan_eviction};
pub use self::sweep::{Report, collect};
use crate::chains::ChainId;
use crate::directory::Directory;
use crate::error::Error;
use crate::store::Store;

/// What can be removed from a store.
#[derive(Debug, Default)]
pub struct Plan {
    /// Layers that no image names.
    layers: Vec<TocDigest>,
    /// Objects that no layer which stays needs.
    objects: Vec<ContentDigest>,
    /// Partial files that are of no use: no layer needs them, or they are objects by now.
    partials: Vec<String>,
    /// Blobs of the layout that no image needs.
    documents: Vec<(Directory, String)>,
    /// What crashes left.
    leftovers: Vec<(Directory, String)>,
    /// Files that lead to layers that go or were made of them, and those that layers were locked by. They are not counted.
    unseen: Vec<(Directory, String)>,
    summary: Summary,
}

/// How much can be removed from a store, or was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Summary {
    /// Layers that no image names.
    pub layers: u64,
    /// Objects that no image needs.
    pub objects: u64,
    /// Bytes of them.
    pub objects_len: u64,
    /// Partial files that are of no use.
    pub partials: u64,
    /// Bytes of them that take space.
    pub partials_len: u64,
    /// Manifests, indexes and configs that no image needs.
    pub documents: u64,
    /// Bytes of them.
    pub documents_len: u64,
    /// What crashes left.
    pub leftovers: u64,
}

impl Summary {
    /// Tells whether there is nothing to remove.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Plan {
    /// Says how much can be removed.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }
}

/// Finds out what could be removed. Others may use the store meanwhile, and then some of it is not garbage:
/// [`collect`] makes a plan of its own.
///
/// What is kept are the images, those that are mounted, their layers and those that are `served`, the contents of these,
/// complete or partial, and what was made of them for mounts.
///
/// # Errors
/// [`Error::Damaged`] and [`Error::Toc`] when it cannot be read what an image needs: then nothing can be said to be
/// garbage. Those of the file system.
pub fn plan(store: &Store, served: &BTreeSet<TocDigest>) -> Result<Plan, Error> {
    let kept = mark::mark(store, served)?;
    let mut plan = Plan::default();
    plan.add_layers(store, &kept.layers)?;
    plan.add_objects(store, &kept)?;
    plan.add_partials(store, &kept)?;
    plan.add_documents(store, &kept)?;
    plan.unseen.extend(store.chains().stray(&kept.chains)?);
    plan.unseen.extend(sweep::stray_tables(store, &kept.layers)?);
    plan.add_leftovers(store)?;
    Ok(plan)
}

/// What has to stay.
#[derive(Debug, Default)]
struct Kept {
    layers: BTreeSet<TocDigest>,
    /// Sorted; 32 bytes each, so that a million files take 32 MB.
    contents: Vec<ContentDigest>,
    documents: BTreeSet<chunked::BlobDigest>,
    chains: BTreeSet<ChainId>,
}

impl Kept {
    fn has_content(&self, digest: &ContentDigest) -> bool {
        self.contents.binary_search(digest).is_ok()
    }
}
