//! The storage of podman, CRI-O, buildah and skopeo: who uses what of it, and an additional image store with layers that
//! these engines find when they pull, so that they need not fetch them.
//!
//! - [`EngineStorage`] reads the lists of an engine's own storage.
//! - [`AdditionalStore`] is a store that engines only read. It has layers and no images: an engine that pulls an image
//!   finds its layers here by their digests, and writes down the image in its own storage.
//! - [`additional`] says why the layers are laid out as they are, and why an engine never sees half of something.
//!
//! What engines expect is not written down anywhere but in their code; it was tried with podman 4.3, 5.4 and 5.8.

pub mod additional;
mod engine;
pub mod error;
mod file;
mod lock;
pub mod record;

pub use additional::AdditionalStore;
pub use engine::EngineStorage;
pub use error::Error;
pub use record::LayerId;
