//! What this machine already has of container images, and putting layers on disk.

pub mod error;
pub mod tree;
pub mod unpack;

pub use error::Error;
pub use tree::Tree;
