//! A layer of a store, and where its things are.

use std::path::{Path, PathBuf};

use super::records::LayerId;

/// A layer of a store.
#[derive(Debug)]
pub(super) struct Layer {
    id: LayerId,
}

impl Layer {
    pub(super) fn new(id: LayerId) -> Self {
        Self { id }
    }

    /// Returns the directory with the layer's files, below the graph root.
    pub(super) fn files(&self) -> PathBuf {
        ["overlay", self.id.as_str(), "diff"].iter().collect()
    }

    /// Returns a file with metadata of the layer, below the graph root.
    pub(super) fn big_data(&self, name: &str) -> PathBuf {
        ["overlay-layers", self.id.as_str(), name].iter().collect()
    }
}

/// Takes the path of a file apart: the directory of its layer, and its path in there.
pub(super) fn split(path: &Path) -> Option<(PathBuf, &Path)> {
    const DEPTH: usize = 3;
    let mut components = path.components();
    let files: PathBuf = components.by_ref().take(DEPTH).collect();
    Some((files, components.as_path())).filter(|(_, rest)| !rest.as_os_str().is_empty())
}
