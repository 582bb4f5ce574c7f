//! What is known of a layer.

use std::fmt;
use std::path::Path;

use chunked::digest::TarSplitDigest;
use chunked::{BlobDigest, DiffId, TocDigest};
use serde::{Deserialize, Serialize};

use crate::error::{Error, bad_json};

/// What is known of a layer in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// The digest of its TOC, which it is named by.
    pub toc_digest: TocDigest,
    /// The blob it came in.
    pub blob: BlobDigest,
    /// Bytes of that blob.
    pub blob_len: u64,
    /// Bytes of the blob, or of what stands for it, that the data of the TOC lies in.
    pub payload_len: u64,
    /// The digest of its tar, where it is known. Only [`LayerState::Proven`] says that it is right.
    pub diff_id: Option<DiffId>,
    /// Bytes of its tar.
    pub tar_len: u64,
    /// How much of it is here and verified.
    pub state: LayerState,
    /// Where its TOC is from.
    pub origin: Origin,
}

/// How much of a layer is here and verified. The order is that of trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LayerState {
    /// The TOC and the tar-split are here, verified and consistent.
    Indexed,
    /// All content is here too, each file verified.
    Complete,
    /// The tar was rebuilt and has the digest that the image's config names.
    Proven,
}

impl fmt::Display for LayerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Indexed => "indexed",
            Self::Complete => "complete",
            Self::Proven => "proven",
        })
    }
}

/// Where the TOC of a layer is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The blob has it.
    Chunked,
    /// It was made here, of a layer that has none.
    IndexedPlain,
}

/// A record as it is in its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stored {
    #[serde(flatten)]
    pub(super) layer: LayerRecord,
    /// The digest of the compressed tar-split, if the layer has one.
    pub(super) tar_split: Option<TarSplitDigest>,
}

impl Stored {
    pub(super) fn new(layer: LayerRecord, tar_split: Option<TarSplitDigest>) -> Self {
        Self { layer, tar_split }
    }

    pub(super) fn to_json(&self, path: &Path) -> Result<Vec<u8>, Error> {
        serde_json::to_vec_pretty(self).map_err(bad_json(path))
    }
}
