//! Why a layer is not one that a TOC describes.

use serde::{Serialize, Serializer};

use super::tree::Misplaced;
use crate::tar::{Invalid, Unfaithful};
use crate::tar_split::shorten;

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
    /// The tar's sparse files would have more zeros between their data than makes sense.
    #[error("`{}` is sparse, and with it the layer would have more than {limit} bytes of holes", shorten(name.as_bytes()))]
    TooManyZeros {
        /// The file.
        name: String,
        /// The limit.
        limit: u64,
    },
    /// TOC or tar-split would be larger than readers take.
    #[error("the TOC or the tar-split would be larger than readers take")]
    MetadataTooLarge,
    /// The TOC would have more extended attributes than readers take.
    #[error("the TOC would have more than {limit} extended attributes")]
    TooManyAttributes {
        /// The limit.
        limit: u64,
    },
    /// The TOC would have more rows than readers take.
    #[error("the TOC would have more than {limit} rows")]
    TooManyRows {
        /// The limit.
        limit: u64,
    },
}

impl PlainReason {
    /// Tells whether the tar is damaged, rather than not expressible.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Truncated { .. } | Self::TruncatedFile { .. })
    }
}

impl Serialize for PlainReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
