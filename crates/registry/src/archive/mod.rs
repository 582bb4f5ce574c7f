//! Images in a single tar: an OCI layout as a tar, and what `docker save` writes.

mod docker;
mod members;
mod spool;
mod write;

pub(crate) use docker::DockerArchive;
pub(crate) use members::Members;
pub(crate) use write::ArchiveWriter;

use chunked::tar;

/// Longest headers of one member in bytes: a few extensions of the largest kind that Go reads.
const HEADERS_LEN_MAX: usize = 4 << 20;

/// Names what is wrong with a tar of images.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A header is malformed; at the start, it is no tar at all.
    #[error("no tar header at byte {offset}")]
    Header {
        /// Where the header starts.
        offset: u64,
        /// What is wrong with it.
        source: tar::Invalid,
    },
    /// The tar ends within a member.
    #[error("it ends within the member at byte {offset}")]
    Truncated {
        /// Where the member starts.
        offset: u64,
    },
    /// The headers of one member are larger than any need to be.
    #[error("the headers of the member at byte {offset} are longer than {limit} bytes")]
    HeaderTooLong {
        /// Where the member starts.
        offset: u64,
        /// The limit in bytes.
        limit: usize,
    },
    /// The tar has more members than an image needs.
    #[error("it has more than {0} members")]
    TooManyMembers(usize),
    /// It decompresses to far more than an image would.
    #[error("it decompresses to more than {limit} bytes, which no image does; decompress it first")]
    Bomb {
        /// The limit in bytes.
        limit: u64,
    },
    /// A Docker archive's configuration and list of layers differ.
    #[error("image {position} lists {layers} layers, its configuration {diff_ids}")]
    LayerCount {
        /// Position of the image in the archive.
        position: usize,
        /// Layers listed.
        layers: usize,
        /// Layers in the configuration.
        diff_ids: usize,
    },
}
