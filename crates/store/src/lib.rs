//! What this machine already has of container images, and putting layers on disk.

pub mod error;

pub use error::Error;
