//! Layers whose files are a mount: the merged tree of all layers up to this one.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use mount::overlay::DataDirectory;
use mount::rootfs::{self, Request};
use serde_json::{from_slice, to_vec};
use store::{Image, Store};

use super::place::Place;
use super::{AdditionalStore, list};
use crate::error::{Error, at_path, damaged};
use crate::file;
use crate::record::LayerId;

/// The file in a layer's directory that says what is mounted on `diff`.
const MOUNTED: &str = "mounted.json";

/// Longest such file.
const LEN_MAX: u64 = 1 << 20;

/// What became of a mount that was to be made again.
#[derive(Debug)]
pub struct Restored {
    /// The layer.
    pub id: LayerId,
    /// The image whose layers it shows.
    pub image: String,
    /// Why there is none, if there is none.
    pub outcome: Result<(), Error>,
}

impl AdditionalStore {
    /// Lists the layers whose files are a mount, and the image that is mounted: the lowest of its layers, up to this one.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the list or one of these is; those of the file system.
    pub fn mounts(&self) -> Result<Vec<(LayerId, Image)>, Error> {
        let ids = list::read(&self.place)?.into_iter().map(|layer| layer.id);
        let mounts = ids.map(|id| Ok(read(&self.place.layer(&id))?.map(|image| (id, image))));
        mounts.filter_map(Result::transpose).collect()
    }

    /// Lists those that are not mounted: after a reboot. Containers of them do not start.
    ///
    /// # Errors
    /// Those of [`AdditionalStore::mounts`].
    pub fn unmounted(&self) -> Result<Vec<(LayerId, Image)>, Error> {
        let mut mounts = self.mounts()?;
        mounts.retain(|(id, _)| !is_mounted(&self.place.layer(id)));
        Ok(mounts)
    }

    /// Mounts what is not mounted. What of it is not in `store` is taken from `missing`.
    ///
    /// # Errors
    /// Those of [`AdditionalStore::mounts`].
    pub fn restore(
        &self,
        store: &Store,
        missing: Option<DataDirectory<'_>>,
    ) -> Result<Vec<Restored>, Error> {
        let restored = |(id, image): (LayerId, Image)| Restored {
            outcome: mount(store, &image, &self.place.layer(&id), missing),
            image: image.name,
            id,
        };
        Ok(self.unmounted()?.into_iter().map(restored).collect())
    }

    /// Forgets the mounts of layers that are not listed any more, so that `store` may let go of what they needed.
    ///
    /// # Errors
    /// Those of [`AdditionalStore::mounts`] and of the store.
    pub fn forget_mounts(&self, store: &Store) -> Result<(), Error> {
        let canonical = fs::canonicalize(self.place.layers());
        let layers = canonical.map_err(at_path("find", self.place.layers()))?;
        let listed: Vec<PathBuf> =
            self.mounts()?.into_iter().map(|(id, _)| layers.join(id.as_str()).join("diff")).collect();
        for record in store.mounts().list()? {
            if record.directory.starts_with(&layers) && !listed.contains(&record.directory) {
                rootfs::detach(&record.directory);
                store.mounts().remove(&record.directory)?;
            }
        }
        Ok(())
    }
}

impl Place {
    /// Tells whether the files of a layer are a mount.
    pub(super) fn is_mount(&self, id: &LayerId) -> bool {
        self.layer(id).join(MOUNTED).exists()
    }

    /// Tells whether the files of a layer can be read: those that are a mount while it is mounted.
    pub(super) fn is_readable(&self, id: &LayerId) -> bool {
        !self.is_mount(id) || is_mounted(&self.layer(id))
    }
}

/// Writes down what is to be mounted in the directory of a layer.
pub(super) fn write(directory: &Path, image: &Image) -> Result<(), Error> {
    let path = directory.join(MOUNTED);
    let json = to_vec(image).map_err(|error| damaged(&path, error))?;
    fs::write(&path, json).map_err(at_path("write", &path))
}

/// Mounts an image in the directory of a layer, where containers can be put on it.
pub(super) fn mount(
    store: &Store,
    image: &Image,
    layer: &Path,
    missing: Option<DataDirectory<'_>>,
) -> Result<(), Error> {
    let (directory, other) = (layer.join("diff"), layer.join("work"));
    rootfs::mount(store, &Request { image, directory: &directory, writable: None }, missing)?;
    rootfs::permit_on(&directory, &other).inspect_err(|_| rootfs::detach(&directory))?;
    Ok(())
}

/// Takes away what is mounted in the directory of a layer. Containers that use it go on.
pub(super) fn unmount(layer: &Path) {
    rootfs::detach(&layer.join("diff"));
}

fn read(layer: &Path) -> Result<Option<Image>, Error> {
    let path = layer.join(MOUNTED);
    let json = file::read(&path, LEN_MAX)?;
    json.map(|json| from_slice(&json).map_err(|error| damaged(&path, error))).transpose()
}

fn is_mounted(layer: &Path) -> bool {
    let device = |path: &Path| -> io::Result<u64> { Ok(path.symlink_metadata()?.dev()) };
    matches!((device(layer), device(&layer.join("diff"))), (Ok(outer), Ok(inner)) if outer != inner)
}
