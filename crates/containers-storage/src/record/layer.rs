//! What engines are told of a layer.

use chunked::{BlobDigest, DiffId, TocDigest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::LayerId;

/// A layer in `layers.json` of a store of ours. The names are those of containers-storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LayerRecord {
    /// Its ID.
    pub id: LayerId,
    /// The layer it lies on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<LayerId>,
    /// When it was published, RFC 3339.
    pub created: String,
    /// The digest of the blob it came in, if all of that was hashed. Engines take a blob of that digest for this layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compressed_diff_digest: Option<BlobDigest>,
    /// Bytes of that blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compressed_size: Option<u64>,
    /// The digest of its tar.
    pub diff_digest: DiffId,
    /// Bytes of its tar.
    pub diff_size: u64,
    /// The digest of the TOC in its blob. Engines take a blob with that TOC for this layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toc_digest: Option<TocDigest>,
    /// Owners of its files: `--userns=auto` makes room for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uidset: Vec<u32>,
    /// Groups of its files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gidset: Vec<u32>,
    /// What other versions write; it stays.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}
