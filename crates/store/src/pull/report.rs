//! The receipt of a pull, layer by layer.

use chunked::{BlobDigest, Traffic};
use serde::Serialize;

use crate::fetch::Fetched;

/// How a layer came into the store.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "how")]
pub enum How {
    /// It was there.
    Present,
    /// What was missing was fetched.
    Parts(Fetched),
    /// The blob was read whole.
    Whole {
        /// Why.
        why: String,
        /// Bytes of the tar.
        tar_len: u64,
    },
}

/// What one layer took.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerReport {
    /// The blob's digest.
    pub blob: BlobDigest,
    /// Bytes of the blob.
    pub blob_len: u64,
    /// How it came in.
    #[serde(flatten)]
    pub how: How,
    /// What was asked of the network, and what came.
    pub traffic: Traffic,
    /// Seconds from the start of the pull until the layer was in the store.
    pub seconds: f64,
}
