//! Checks that everything in a store is what it says it is, and removes what is not.

mod images;
mod layers;
mod objects;
mod repair;

use std::num::NonZeroUsize;

use chunked::{ContentDigest, TocDigest};
use serde::Serialize;

pub(crate) use self::repair::repair_with;
pub use self::repair::{Repairs, repair};
use crate::error::Error;
use crate::store::Store;

/// What to check, and how.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Threads that hash.
    pub threads: NonZeroUsize,
    /// Only what was written since then: seconds since 1970. `None` for everything.
    pub since: Option<i64>,
}

/// Hears how far the check is.
pub trait Progress: Sync {
    /// That many more bytes of objects were hashed.
    fn hashed(&self, len: u64);
}

/// A progress that nobody hears of.
#[derive(Debug, Clone, Copy)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn hashed(&self, _: u64) {}
}

/// What was checked, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Findings {
    /// Objects that were hashed.
    pub objects: u64,
    /// Bytes of them.
    pub objects_len: u64,
    /// Objects that are not what their name says, in order.
    pub bad_objects: Vec<BadObject>,
    /// Layers that were checked.
    pub layers: u64,
    /// Layers that are damaged, or lack content that they should have.
    pub bad_layers: Vec<BadLayer>,
    /// Images that were checked.
    pub images: u64,
    /// Images of which something is missing or damaged.
    pub bad_images: Vec<BadImage>,
    /// Whether the dedup index is damaged.
    pub bad_index: bool,
}

/// An object that is not what its name says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct BadObject {
    /// Its name.
    pub digest: ContentDigest,
    /// What is wrong with it.
    pub problem: String,
}

/// A layer that is not what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BadLayer {
    /// Its name.
    pub toc_digest: TocDigest,
    /// What is wrong with it.
    pub problem: LayerProblem,
}

/// What is wrong with a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerProblem {
    /// Its record, its TOC or its tar-split is damaged, for this reason.
    Damaged(String),
    /// It is said to be complete, but lacks as many contents.
    Lacks(u64),
}

/// An image of which something is missing or damaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BadImage {
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub problem: ImageProblem,
}

/// What is wrong with an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageProblem {
    /// Its index, manifest or config is missing or damaged, for this reason.
    Document(String),
    /// As many of its layers are not here; pulling it brings them.
    LacksLayers(u64),
}

impl Findings {
    /// Tells whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.bad_objects.is_empty()
            && self.bad_layers.is_empty()
            && self.bad_images.is_empty()
            && !self.bad_index
    }
}

/// Checks every object, layer and image, and the dedup index. Nothing is changed; others may use the store meanwhile.
///
/// # Errors
/// When a directory or the list of images cannot be read. What is wrong with a single object, layer or image is a finding.
pub fn check(store: &Store, options: &Options, progress: &dyn Progress) -> Result<Findings, Error> {
    let mut findings = Findings::default();
    objects::check(store, options, progress, &mut findings)?;
    layers::check(store, options, &mut findings)?;
    images::check(store, &mut findings)?;
    findings.bad_index = !store.index().is_sound();
    Ok(findings)
}

/// Writes an error and its causes on one line.
fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
