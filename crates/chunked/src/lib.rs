//! A container image layer as bytes: read, write and check zstd:chunked.
//!
//! This crate knows no files and no sockets. It takes [`std::io::Read`], [`std::io::Write`], slices, and
//! [`RangeSource`] for blobs that are somewhere else.
//!
//! - [`convert`](mod@convert) turns a tar, plain or compressed, into a blob.
//! - [`index`](mod@index) takes an ordinary layer apart into contents and a TOC, as if it had been chunked.
//! - [`Layer`] opens a blob: its table of contents, or why it has none.
//! - [`verify`](mod@verify) proves that a blob is what it says; [`audit`] compares TOC, tar-split and tar.
//! - [`spec`] describes the format.
//!
//! ```
//! use morsel_chunked::convert::{NoProgress, Options, convert};
//! use morsel_chunked::{Layer, Limits};
//!
//! # let mut header = [0; 512];
//! # header[..5].copy_from_slice(b"hello");
//! # header[124..135].copy_from_slice(b"00000000006");
//! # header[156] = b'0';
//! # header[148..156].fill(b' ');
//! # let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
//! # header[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
//! # let mut tar = header.to_vec();
//! # tar.extend(b"hello\n");
//! # tar.resize(4 * 512, 0);
//! let mut blob = Vec::new();
//! let report = convert(tar.as_slice(), &mut blob, &Options::default(), &NoProgress)?;
//! assert_eq!(report.tar_len, tar.len() as u64);
//!
//! let annotations = report.annotations();
//! let lookup = |key: &str| annotations.get(key).map(String::as_str);
//! let Layer::Chunked(layer) = Layer::open(&blob.as_slice(), lookup, &Limits::default())? else {
//!     unreachable!("a plain file can be chunked");
//! };
//! assert_eq!(layer.toc.entries[0].name, "hello");
//! # Ok::<_, morsel_chunked::Error>(())
//! ```

pub mod annotations;
pub mod audit;
pub mod chunker;
pub mod convert;
pub mod dialect;
pub mod digest;
pub mod entry;
pub mod error;
pub mod estimate;
pub mod footer;
pub mod frame;
pub mod index;
pub mod input;
mod json;
pub mod layer;
pub mod limits;
pub mod location;
mod pipeline;
pub mod plan;
pub mod range;
pub mod source;
pub mod spec;
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
pub use source::{Abilities, Link, RangeSource, Ranges, Traffic};
