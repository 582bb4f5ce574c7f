//! What came of a conversion.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::annotations;
use crate::digest::{BlobDigest, DiffId, TarSplitDigest, TocDigest};
use crate::input::Compression;
use crate::location::Location;
use crate::pipeline::{Counts, PlainReason, SelfCheck};

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
