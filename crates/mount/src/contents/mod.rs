//! What layers hold, by digest: a file for each layer, from which single rows are read.
//!
//! A daemon serves the contents of many layers for a long time, and needs any one of them rarely, so none of this is in
//! memory. A table is made from the TOC of its layer and can be made again at any time.
//!
//! # The file
//!
//! All numbers are little-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `morselt\x02` |
//! | 4 | number of contents |
//! | 4 | number of chunks |
//! | 4 | `bits`, at most 20 |
//! | 4 | zero |
//! | 8 | bytes of all contents |
//! | 4 * (2^bits + 1) | for each value of a digest's first bits: how many contents come before; at the end, all |
//! | 48 each | a content, ascending by digest: digest (32), length (8), its first chunk (4), how many it has (4) |
//! | 72 each | a chunk, in the order of the blob: first byte in the file and the one after the last (8 each), the same in the blob, digest or zeros (32), the content it belongs to (4), flags (4) |
//!
//! Flags: 1 for a hole, 2 for a chunk that has a digest, 4 for the first chunk of a content that is in another directory than
//! the one before it. The chunks of a content are in a row.

mod build;
mod dispute;
mod row;
mod table;
mod tables;

pub use build::{Builder, build, build_listed, directory_of, is_built};
pub use row::{ChunkRow, ContentRow};
pub use table::Table;
pub use tables::{Node, Tables};
