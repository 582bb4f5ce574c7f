//! What this machine already has of container images, and putting layers on disk.

pub mod chains;
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
pub mod mounts;
pub mod objects;
pub mod partials;
pub mod pull;
pub mod recovery;
pub mod spec;
mod staged;
pub mod store;
pub mod tree;
pub mod unpack;
pub mod usage;

pub use chains::{ChainId, Chains};
pub use error::Error;
pub use exclusive::{Exclusive, Wait};
pub use images::{Image, Images};
pub use index::{DedupIndex, Place};
pub use layers::{LayerLock, LayerRecord, LayerState, Layers, Origin};
pub use mounts::{MountRecord, Mounts};
pub use objects::{Objects, StagedObject};
pub use partials::{Partial, Partials};
pub use recovery::Recovery;
pub use store::Store;
pub use tree::Tree;
