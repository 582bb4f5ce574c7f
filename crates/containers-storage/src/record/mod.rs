//! The records of layers, images and containers in the lists of a storage.

mod chain;
mod engine;
mod layer;

pub use chain::{chain_ids, link_name};
pub use engine::{ContainerRecord, ImageRecord, ParentRecord};
pub use layer::LayerRecord;
pub use store::seed::containers_storage::records::{LayerId, list};
