//! What this machine already has of container images, and putting layers on disk.

pub mod contents;
mod directory;
mod durability;
pub mod error;
pub mod exclusive;
pub mod fetch;
pub mod fsck;
pub mod gc;
pub mod images;
pub mod index;
pub mod layers;
mod lock;
pub mod objects;
pub mod partials;
pub mod pull;
pub mod recovery;
pub mod seed;
pub mod spec;
mod staged;
pub mod store;
pub mod tree;
pub mod unpack;
pub mod usage;

pub use error::Error;
pub use exclusive::{Exclusive, Wait};
pub use images::{Image, Images};
pub use index::{DedupIndex, Place};
pub use layers::{LayerLock, LayerRecord, LayerState, Layers, Origin};
pub use objects::{Objects, StagedObject};
pub use partials::{Partial, Partials};
pub use recovery::Recovery;
pub use seed::{Seed, SeedName};
pub use store::Store;
pub use tree::Tree;
