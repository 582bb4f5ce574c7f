//! What came of a conversion.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

use super::tree::Misplaced;
use crate::annotations;
use crate::digest::{BlobDigest, DiffId, TarSplitDigest, TocDigest};
use crate::input::Compression;
use crate::location::Location;
use crate::tar::{Invalid, Unfaithful};
use crate::tar_split::shorten;

/// Whether the blob is decoded and compared while it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SelfCheck {
    /// Every frame is decoded again and compared with the tar bytes it was made of; TOC and tar-split are read back and
    /// audited against each other. That frames are written in the order of the tar is checked by their lengths only.
    On,
    /// It is not, and the report says so.
    Off,
}

/// Why a layer became plain zstd, without a TOC.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlainReason {
    /// There is nothing to list.
    #[error("the tar has no entries")]
    NoEntries,
    /// The bytes at a member boundary are no header.
    #[error("the tar is damaged at byte {offset}: {source}")]
    Damaged {
        /// Offset in the tar.
        offset: u64,
        /// What is wrong.
        source: Invalid,
    },
    /// The tar ends inside a header or its padding.
    #[error("the tar is truncated after byte {offset}")]
    Truncated {
        /// Offset in the tar of the last member boundary.
        offset: u64,
    },
    /// The tar ends inside a payload.
    #[error("the tar is truncated inside `{}`", shorten(name.as_bytes()))]
    TruncatedFile {
        /// The file.
        name: String,
    },
    /// A TOC cannot say what a member says.
    #[error(transparent)]
    Unfaithful(#[from] Unfaithful),
    /// The order of the members matters, which a puller with a TOC does not keep.
    #[error("`{}` {source}", shorten(name.as_bytes()))]
    Misplaced {
        /// The name of the member.
        name: String,
        /// What is wrong with its place.
        source: Misplaced,
    },
    /// Something other than zero blocks follows the end of the tar, where readers of a tar-split expect nothing else.
    #[error("the tar goes on after its end, at byte {offset}")]
    TrailingBytes {
        /// Offset in the tar.
        offset: u64,
    },
    /// A file is cut into chunks of a few bytes each.
    #[error("`{}` would be cut into tiny chunks", shorten(name.as_bytes()))]
    TinyChunks {
        /// The file.
        name: String,
    },
    /// TOC or tar-split would be larger than readers take.
    #[error("the TOC or the tar-split would be larger than readers take")]
    MetadataTooLarge,
    /// The TOC would have more rows than readers take.
    #[error("the TOC would have more than {limit} rows")]
    TooManyRows {
        /// The limit.
        limit: u64,
    },
}

impl Serialize for PlainReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What the layer became.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "format", rename_all = "kebab-case")]
pub enum Outcome {
    /// A zstd:chunked layer of containers-storage's current dialect.
    #[serde(rename = "zstd:chunked")]
    Chunked {
        /// The digest of the compressed TOC.
        toc_digest: TocDigest,
        /// The digest of the compressed tar-split, which the TOC holds too.
        tar_split_digest: TarSplitDigest,
        /// Where both lie.
        #[serde(skip)]
        location: Location,
    },
    /// A plain zstd layer.
    #[serde(rename = "zstd")]
    Plain {
        /// Why.
        why: PlainReason,
    },
}

/// What was converted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// How it was compressed.
    pub compression: Compression,
    /// The digest of the bytes read.
    pub digest: BlobDigest,
    /// How many bytes were read.
    pub blob_len: u64,
}

/// What a blob holds, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Members of the tar, as far as it could be walked.
    pub entries: u64,
    /// Regular files with content.
    pub files: u64,
    /// Chunks of content, holes included; at least one for each file.
    pub chunks: u64,
    /// Chunks that are holes.
    pub holes: u64,
    /// zstd frames that hold tar bytes.
    pub frames: u64,
    /// Bytes of TOC, tar-split, footer, and the headers of their skippable frames.
    pub metadata_blob_len: u64,
}

/// The report of a conversion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Converted {
    /// What the layer became.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The digest of the blob written.
    pub blob_digest: BlobDigest,
    /// Its length.
    pub blob_len: u64,
    /// The digest of the tar.
    pub diff_id: DiffId,
    /// The length of the tar.
    pub tar_len: u64,
    /// What was read.
    pub source: Source,
    /// What it held.
    pub counts: Counts,
    /// Whether every frame was decoded again and compared.
    pub self_check: SelfCheck,
}

impl Converted {
    /// Returns the annotations of the layer's descriptor: those of zstd:chunked, or none for a plain layer.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        match &self.outcome {
            Outcome::Chunked { toc_digest, location, .. } => annotations::encode(toc_digest, location),
            Outcome::Plain { .. } => BTreeMap::new(),
        }
    }
}
