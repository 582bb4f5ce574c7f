//! What engines write about what they have, as far as it says which layers are in use. All else is read over.

use serde::Deserialize;

/// A layer of an engine's own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct ParentRecord {
    /// Its ID.
    pub id: String,
    /// The layer it lies on, which may be in another store; empty when there is none.
    pub parent: String,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct ImageRecord {
    /// Its ID.
    pub id: String,
    /// The highest of its layers; empty when it has none.
    pub layer: String,
    /// Copies of that layer for containers with other owners.
    pub mapped_layers: Vec<String>,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct ContainerRecord {
    /// Its ID.
    pub id: String,
    /// The layer with its changes.
    pub layer: String,
}
