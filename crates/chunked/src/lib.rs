//! A container image layer as bytes: read, write, check and plan zstd:chunked.
//!
//! This crate knows no files and no sockets. It takes [`std::io::Read`], [`std::io::Write`], slices, and
//! [`source::RangeSource`] for blobs that are somewhere else.

pub mod chunker;
pub mod digest;
pub mod entry;
pub mod error;
pub mod frame;
mod json;
pub mod limits;
pub mod location;
pub mod range;
pub mod source;
pub mod tar;
pub mod tar_split;
pub mod toc;

pub use digest::{BlobDigest, ContentDigest, DiffId, Digest, TocDigest};
pub use entry::{Chunk, ChunkKind, Content, Entry, EntryKind, Timestamp};
pub use error::{Class, Error};
pub use limits::Limits;
pub use location::{Located, Location};
pub use range::{BlobRange, FileRange};
pub use source::RangeSource;
