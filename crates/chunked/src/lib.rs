//! A container image layer as bytes: read, write, check and plan zstd:chunked.
//!
//! This crate knows no files and no sockets. It takes [`std::io::Read`], [`std::io::Write`], slices, and
//! [`source::RangeSource`] for blobs that are somewhere else.

pub mod annotations;
pub mod audit;
pub mod chunker;
pub mod convert;
pub mod dialect;
pub mod digest;
pub mod entry;
pub mod error;
pub mod footer;
pub mod frame;
pub mod input;
mod json;
pub mod layer;
pub mod limits;
pub mod location;
pub mod range;
pub mod source;
pub mod stats;
pub mod tar;
pub mod tar_split;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod toc;
pub mod verify;
pub mod verifying;
mod zstd_read;

pub use dialect::Dialect;
pub use digest::{BlobDigest, ContentDigest, DiffId, Digest, TocDigest};
pub use entry::{Chunk, ChunkKind, Content, Entry, EntryKind, Timestamp};
pub use error::{Class, Error};
pub use layer::{ChunkedLayer, Layer};
pub use limits::Limits;
pub use location::{Located, Location};
pub use range::{BlobRange, FileRange};
pub use source::RangeSource;
