//! What is where in a store.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use chunked::Digest;

use crate::record::{LayerId, link_name};

/// The paths of a store.
#[derive(Debug, Clone)]
pub(super) struct Place {
    root: PathBuf,
}

impl Place {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn list(&self) -> PathBuf {
        self.root.join("overlay-layers/layers.json")
    }

    /// Returns the lock that engines take.
    pub(super) fn list_lock(&self) -> PathBuf {
        self.root.join("overlay-layers/layers.lock")
    }

    /// Returns the lock of whoever replaces the list.
    pub(super) fn writer_lock(&self) -> PathBuf {
        self.root.join("locks/list")
    }

    /// Returns the lock of whoever makes a layer.
    pub(super) fn layer_lock(&self, id: &LayerId) -> PathBuf {
        self.root.join("locks").join(id.as_str())
    }

    pub(super) fn engines(&self) -> PathBuf {
        self.root.join("engines")
    }

    /// Returns the note about an engine's storage.
    pub(super) fn engine(&self, storage: &Path) -> PathBuf {
        self.engines().join(Digest::of(storage.as_os_str().as_bytes()).hex())
    }

    pub(super) fn staging(&self) -> PathBuf {
        self.root.join("staging")
    }

    pub(super) fn layers(&self) -> PathBuf {
        self.root.join("overlay")
    }

    pub(super) fn layer(&self, id: &LayerId) -> PathBuf {
        self.layers().join(id.as_str())
    }

    /// Returns where the files of layers are mounted.
    pub(super) fn mounts(&self) -> PathBuf {
        self.root.join("mounts")
    }

    pub(super) fn mount(&self, id: &LayerId) -> PathBuf {
        self.mounts().join(id.as_str())
    }

    pub(super) fn links(&self) -> PathBuf {
        self.layers().join("l")
    }

    pub(super) fn link(&self, id: &LayerId) -> PathBuf {
        self.links().join(link_name(id))
    }

    pub(super) fn records(&self) -> PathBuf {
        self.root.join("overlay-layers")
    }

    pub(super) fn tar_split(&self, id: &LayerId) -> PathBuf {
        self.records().join(format!("{}{TAR_SPLIT}", id.as_str()))
    }

    /// Tells whether all files of a layer are there, or can be mounted. What is in them is for [`super::check`].
    pub(super) fn is_whole(&self, id: &LayerId) -> bool {
        let layer = self.layer(id);
        let has_link = || fs::read_link(self.link(id)).is_ok_and(|target| target == link_target(id));
        layer.join("diff").is_dir()
            && layer.join("link").is_file()
            && self.tar_split(id).is_file()
            && has_link()
    }
}

/// How the names of files end that hold all of a layer's tar but the files.
pub(super) const TAR_SPLIT: &str = ".tar-split.gz";

/// The file in a layer's directory with its record.
pub(super) const RECORD: &str = "record.json";

/// Returns where the link of a layer leads.
pub(super) fn link_target(id: &LayerId) -> PathBuf {
    Path::new("..").join(id.as_str()).join("diff")
}
