//! A store that engines read in addition to their own.
//!
//! | path | what |
//! |---|---|
//! | `overlay/<id>/diff` | the files of a layer |
//! | `overlay/<id>/link` | the name of its link, without a line end |
//! | `overlay/<id>/lower` | `l/<link>` of the layers it lies on, the nearest first, with colons between |
//! | `overlay/<id>/{work,merged,empty}` | empty; engines expect them |
//! | `overlay/<id>/record.json` | ours: the layer's record as it was published |
//! | `overlay/<id>/mounted.json` | ours: what is mounted, if `diff` leads to a mount |
//! | `mounts/<id>` | ours: a mount |
//! | `overlay/l/<link>` | a symbolic link to `../<id>/diff` |
//! | `overlay-layers/layers.json` | the layers there are |
//! | `overlay-layers/layers.lock` | locked while that is read or replaced; its first 64 bytes change with each replacement |
//! | `overlay-layers/<id>.tar-split.gz` | all of a layer's tar but the files, for `push` and `save` |
//! | `overlay-images/images.json` | `[]`: engines write down images in their own storage |
//! | `staging/`, `locks/` | ours: layers that are being made, and locks on them |
//! | `engines/` | ours: where the engines that ask have their own storage |
//!
//! # Two layouts
//!
//! *Plain*: a layer's `diff` holds what that layer changes, with the marks of overlayfs for what it hides; just what an engine
//! itself would have made.
//!
//! *Mounted*: `diff` is an absolute link to a mount of the tree of all layers up to this one, and there is no `lower`: for an engine,
//! nothing lies below. Content may be missing, as something serves it. `podman save` and `push` make the tar of every single layer of its
//! tar-split and its files, so each layer has a mount, where all files are as the layer has them. Layers of one layout can lie
//! on those of the other: `lower` ends with the first that is a mount.
//!
//! # Never half of something
//!
//! Engines fail with every command, `podman ps` included, when the list cannot be read. So it is there from
//! [`AdditionalStore::setup`] on, and is only ever replaced by renaming, after what is written was read again by the parser
//! that reads it. A layer is listed when all its files are in place and on disk. Whoever is killed before leaves files that
//! no list names, and that nobody reads; the next one who wants that layer replaces them, and [`AdditionalStore::remove`]
//! takes them away.

mod check;
mod list;
mod make;
mod mounted;
mod place;
mod publish;
mod remove;
mod stage;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

pub use check::{Finding, Findings};
pub use mounted::Restored;
use place::Place;
pub use publish::{Layer, Layout, Made, Publication, Published, Report};
pub use remove::Removed;

use crate::error::{Error, at_path};
use crate::file;
use crate::record::{LayerId, LayerRecord};

/// Directories of a store, with their modes: those of containers-storage.
const DIRECTORIES: [(&str, u32); 8] = [
    ("overlay", 0o700),
    ("overlay/l", 0o755),
    ("overlay-layers", 0o700),
    ("overlay-images", 0o700),
    ("mounts", 0o700),
    ("staging", 0o700),
    ("locks", 0o700),
    ("engines", 0o700),
];

/// Longest path of an engine's storage.
const PATH_LEN_MAX: u64 = 4096;

/// Files that engines open for locking; they cannot make them in a store that they only read.
const LOCKS: [&str; 2] = ["overlay-layers/layers.lock", "overlay-images/images.lock"];

/// Lists, which are empty at first.
const LISTS: [&str; 2] = ["overlay-layers/layers.json", "overlay-images/images.json"];

/// An additional image store of ours.
#[derive(Debug, Clone)]
pub struct AdditionalStore {
    place: Place,
}

impl AdditionalStore {
    /// Makes the store at `path`, or what is missing of it. What is there stays.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn setup(path: &Path) -> Result<Self, Error> {
        for directory in [path.to_owned(), path.join("overlay-layers")] {
            make_directory(&directory, 0o755)?;
        }
        for (name, mode) in DIRECTORIES {
            let directory = path.join(name);
            make_directory(&directory, mode)?;
            fs::set_permissions(&directory, fs::Permissions::from_mode(mode))
                .map_err(at_path("set the mode of", &directory))?;
        }
        for name in LOCKS {
            let lock = path.join(name);
            let file = fs::File::options().create(true).append(true).open(&lock);
            file.map_err(at_path("create", &lock))?;
        }
        for name in LISTS.map(|name| path.join(name)) {
            if !name.exists() {
                file::replace(&name, b"[]", 0o600)?;
            }
        }
        Ok(Self { place: Place::new(path) })
    }

    /// Opens the store at `path`.
    ///
    /// # Errors
    /// [`Error::NoStore`] when there is none.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if LISTS.iter().any(|name| path.join(name).exists()) {
            return Ok(Self { place: Place::new(path) });
        }
        Err(Error::NoStore { path: path.to_owned() })
    }

    /// Returns its directory.
    pub fn path(&self) -> &Path {
        self.place.root()
    }

    /// Reads which layers there are, in the order they came.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the list is; those of the file system.
    pub fn layers(&self) -> Result<Vec<LayerRecord>, Error> {
        list::read(&self.place)
    }

    /// Notes that an engine with its own storage at `path` looks for layers here, so that what it uses stays.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn note_engine(&self, path: &Path) -> Result<(), Error> {
        let note = self.place.engine(path);
        match note.exists() {
            true => Ok(()),
            false => file::replace(&note, path.as_os_str().as_bytes(), 0o600),
        }
    }

    /// Lists the storage of engines that looked for layers here.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn engines(&self) -> Result<Vec<PathBuf>, Error> {
        let directory = self.place.engines();
        let failed = || at_path("list", &directory);
        let mut engines = Vec::new();
        if !directory.exists() {
            return Ok(engines);
        }
        for entry in fs::read_dir(&directory).map_err(failed())? {
            let path = entry.map_err(failed())?.path();
            let text = file::read(&path, PATH_LEN_MAX)?;
            engines.extend(text.map(|text| PathBuf::from(OsString::from_vec(text))));
        }
        Ok(engines)
    }

    /// Finds layers that are listed and have their files, those that are mounts mounted, in the order of `ids`.
    ///
    /// # Errors
    /// Those of [`AdditionalStore::layers`].
    pub fn find(&self, ids: &[LayerId]) -> Result<Vec<Option<LayerRecord>>, Error> {
        let layers = self.layers()?;
        let is_ready = |id: &LayerId| self.place.is_whole(id) && self.place.is_readable(id);
        let find = |id: &LayerId| layers.iter().find(|layer| layer.id == *id).filter(|_| is_ready(id));
        Ok(ids.iter().map(|id| find(id).cloned()).collect())
    }
}

fn make_directory(path: &Path, mode: u32) -> Result<(), Error> {
    match fs::DirBuilder::new().recursive(true).mode(mode).create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(at_path("create", path)(error)),
    }
}

/// Removes a directory with all below it, or whatever else has the name, if it is there.
fn remove_tree(path: &PathBuf) -> Result<(), Error> {
    let removed = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at_path("remove", path)(error)),
        _ => Ok(()),
    }
}
