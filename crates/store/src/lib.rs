//! What this machine already has of container images, and putting layers on disk.

mod directory;
mod durability;
pub mod error;
pub mod fetch;
pub mod images;
pub mod index;
pub mod layers;
mod lock;
pub mod objects;
pub mod partials;
pub mod pull;
mod staged;
pub mod store;
pub mod tree;
pub mod unpack;

pub use error::Error;
pub use images::{Image, Images};
pub use index::{DedupIndex, Place};
pub use layers::{LayerLock, LayerRecord, LayerState, Layers, Origin};
pub use objects::{Objects, StagedObject};
pub use partials::{Partial, Partials};
pub use store::Store;
pub use tree::Tree;
