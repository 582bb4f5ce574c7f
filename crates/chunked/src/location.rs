//! Where in a blob its metadata lies.

use crate::range::BlobRange;

/// A compressed JSON document inside a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Located {
    /// The compressed bytes, after the 8-byte header of the skippable frame that holds them.
    pub range: BlobRange,
    /// Bytes of the document when decompressed, as claimed; nothing vouches for the number.
    pub len: u64,
}

/// The place of a TOC, and of the tar-split where a blob has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Location {
    /// The TOC.
    pub toc: Located,
    /// The tar-split; `None` for the dialects that have none.
    pub tar_split: Option<Located>,
}
