//! What a conversion did.

use chunked::convert::{Counts, SelfCheck};
use chunked::digest::{BlobDigest, DiffId};
use chunked::input::Compression;
use serde::Serialize;

use crate::descriptor::Descriptor;
use crate::media_type::MediaType;

/// What became of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Where the image came from.
    pub source: String,
    /// Where it went.
    pub destination: String,
    /// Its manifest or index before.
    pub before: Content,
    /// Its manifest or index now; the same if nothing had to change.
    pub after: Content,
    /// Whether converted layers were decoded again and compared, and those that stay or are from the cache verified.
    pub self_check: SelfCheck,
    /// Everything that indexes list, or the only manifest, and what became of it, in the order it was done.
    pub manifests: Vec<ManifestReport>,
    /// What went wrong without harm, such as a cache that cannot be written.
    pub warnings: Vec<String>,
}

/// Content by type, digest and length, with the names that descriptors have for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Content {
    /// Its type.
    pub media_type: MediaType,
    /// Its digest.
    pub digest: BlobDigest,
    /// Its length in bytes.
    #[serde(rename = "size")]
    pub len: u64,
}

impl From<&Descriptor> for Content {
    fn from(descriptor: &Descriptor) -> Self {
        Self { media_type: descriptor.media_type.clone(), digest: descriptor.digest, len: descriptor.len }
    }
}

/// What became of a manifest, or of something else that an index lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ManifestReport {
    /// What was listed.
    pub source: Content,
    /// What it runs on, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// What was done.
    pub action: Action,
    /// Why, where it is not obvious.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What is listed in its place or, if it was added to, beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Content>,
    /// The digest of the configuration, which tools call the image ID; the same before and after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_id: Option<BlobDigest>,
    /// Its layers, the lowest first; empty if they were not looked at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<LayerReport>,
}

/// What was done with a manifest, or with something else that an index lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Action {
    /// It was converted, and the result takes its place.
    Converted,
    /// It was converted, and the result follows the originals.
    Added,
    /// It stays as it was.
    Kept,
    /// It is listed but not there, and so was not converted.
    Absent,
    /// It was left out, as its platform was not asked for.
    NotSelected,
    /// It was left out, as what it speaks of is not there any more.
    Dropped,
}

/// What became of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerReport {
    /// The layer before.
    pub source: Content,
    /// How it was compressed, where it was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// What was done.
    pub action: LayerAction,
    /// Why it is not zstd:chunked, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The layer now.
    pub result: Content,
    /// The digest of its tar; the same before and after.
    pub diff_id: DiffId,
    /// Length of its tar in bytes, where it was converted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tar_len: Option<u64>,
    /// What it holds, where it was converted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// Where the result came from, where it was converted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// What was done with a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LayerAction {
    /// It was converted to zstd:chunked.
    Chunked,
    /// It was converted to plain zstd, as a TOC cannot say what it holds.
    Plain,
    /// It was zstd:chunked and stays.
    Kept,
    /// It cannot be converted and stays.
    Carried,
}

/// Where a converted layer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Origin {
    /// It was converted now.
    Fresh,
    /// It was converted for an earlier layer of this run.
    Run,
    /// It was converted by an earlier run, and is from the cache.
    Cache,
}
