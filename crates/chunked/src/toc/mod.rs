//! The table of contents of a layer: what it holds, and where in the blob.

mod instant;
mod write;

pub use write::Writer;
