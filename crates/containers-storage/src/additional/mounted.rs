//! Layers whose files are a mount: the merged tree of all layers up to this one.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use chunked::{DiffId, TocDigest};
use mount::overlay::DataDirectory;
use mount::rootfs::{self, Request};
use serde_json::{from_slice, to_vec};
use store::{Image, LayerState, MountRecord, Store};

use super::AdditionalStore;
use super::list::{self, Writer};
use super::place::Place;
use crate::error::{Error, at_path, damaged};
use crate::file;
use crate::lock::OwnLock;
use crate::record::{LayerId, chain_ids};

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
        mounts.retain(|(id, _)| !is_mounted(&self.place.mount(id)));
        Ok(mounts)
    }

    /// Lists those of which something is missing in `store`, so that somebody has to serve it.
    ///
    /// # Errors
    /// Those of [`AdditionalStore::mounts`] and of the store.
    pub fn incomplete(&self, store: &Store) -> Result<Vec<LayerId>, Error> {
        let mut incomplete = Vec::new();
        for (id, image) in self.mounts()? {
            if !rootfs::is_complete(store, &image)? {
                incomplete.push(id);
            }
        }
        Ok(incomplete)
    }

    /// Takes away the mounts of layers, to be [made again](AdditionalStore::restore) with somebody else who serves what is
    /// missing. Containers go on with what they have.
    pub fn unmount(&self, ids: &[LayerId]) {
        ids.iter().for_each(|id| rootfs::detach(&self.place.mount(id)));
    }

    /// Mounts what is not mounted. What of it is not in `store` is taken from `missing`.
    ///
    /// # Errors
    /// Those of [`AdditionalStore::mounts`].
    pub fn restore(&self, store: &Store, missing: Option<DataDirectory<'_>>) -> Result<Vec<Restored>, Error> {
        let restored = |(id, image): (LayerId, Image)| Restored {
            outcome: mount(store, &image, &self.place.mount(&id), missing),
            image: image.name,
            id,
        };
        Ok(self.unmounted()?.into_iter().map(restored).collect())
    }

    /// Forgets the mounts of layers that are not listed any more, so that `store` may let go of what they needed. Returns the
    /// images.
    ///
    /// # Errors
    /// Those of [`AdditionalStore::mounts`] and of the store.
    pub fn forget_mounts(&self, store: &Store) -> Result<Vec<Image>, Error> {
        let canonical = fs::canonicalize(self.place.mounts());
        let mounts = canonical.map_err(at_path("find", self.place.mounts()))?;
        let mut forgotten = Vec::new();
        for MountRecord { directory, image, .. } in store.mounts().list()? {
            let Some(id) = directory.strip_prefix(&mounts).ok().and_then(id_of) else { continue };
            // Somebody may be about to list it.
            let Some(_lock) = OwnLock::try_take(&self.place.layer_lock(&id))? else { continue };
            if !self.mounts()?.iter().any(|(listed, _)| *listed == id) {
                rootfs::detach(&directory);
                store.mounts().remove(&directory)?;
                // It only lies there if it stays.
                let _ = fs::remove_dir(&directory);
                forgotten.push(image);
            }
        }
        Ok(forgotten)
    }

    /// Takes away the layers that show something of the layer with this TOC for an image that claims this diff ID of it, because
    /// it turned out to have another one, and those above. What shows it for images that claim another one stays; an image
    /// of which `store` does not know what it claims has no such excuse. Containers go on; none starts. Returns them.
    ///
    /// # Errors
    /// Those of [`AdditionalStore::mounts`], of the store and of the file system.
    pub fn withdraw(
        &self,
        store: &Store,
        toc_digest: &TocDigest,
        claimed: Option<DiffId>,
    ) -> Result<Vec<LayerId>, Error> {
        let writer = Writer::take(&self.place)?;
        let mut gone = BTreeSet::new();
        for (id, image) in self.mounts()? {
            let claims = store.images().claims(&image)?;
            let is_it = |(index, layer)| {
                let claim = claims.as_ref().map(|claims| claims.get(index).copied());
                layer == toc_digest && claim.is_none_or(|claim| claim == claimed)
            };
            if image.layers.iter().enumerate().any(is_it) {
                gone.insert(id);
            }
        }
        for layer in self.layers()? {
            if layer.parent.is_some_and(|parent| gone.contains(&parent)) {
                gone.insert(layer.id);
            }
        }
        let gone: Vec<_> = gone.into_iter().collect();
        Ok(self.unlist(&writer, &gone)?.0)
    }

    /// Tells whether a layer shows content that nobody has proven yet to be of its diff ID, and it is not of the layers with
    /// these TOCs. Its image claims to have the layer, and may lie: no other image must get it for that. Content that is proven
    /// to be of another diff ID proves nothing here.
    ///
    /// # Errors
    /// Those of the store; [`Error::Damaged`].
    pub fn is_claim(&self, store: &Store, id: &LayerId, tocs: &[TocDigest]) -> Result<bool, Error> {
        let Some(image) = read(&self.place.layer(id))? else { return Ok(false) };
        if image.layers == tocs {
            return Ok(false);
        }
        let proven = |toc_digest: &TocDigest| {
            let record = store.layers().get(toc_digest)?;
            let record = record.filter(|record| record.state == LayerState::Proven);
            Ok(record.and_then(|record| record.diff_id))
        };
        let diff_ids: Result<Option<Vec<_>>, store::Error> = image.layers.iter().map(proven).collect();
        Ok(diff_ids?.is_none_or(|diff_ids| chain_ids(&diff_ids).last() != Some(id)))
    }
}

impl Place {
    /// Tells whether the files of a layer are a mount.
    pub(super) fn is_mount(&self, id: &LayerId) -> bool {
        self.layer(id).join(MOUNTED).exists()
    }

    /// Tells whether the files of a layer can be read: those that are a mount while it is mounted.
    pub(super) fn is_readable(&self, id: &LayerId) -> bool {
        !self.is_mount(id) || is_mounted(&self.mount(id))
    }
}

/// Writes down what is to be mounted in the directory of a layer.
pub(super) fn write(directory: &Path, image: &Image) -> Result<(), Error> {
    let path = directory.join(MOUNTED);
    let json = to_vec(image).map_err(|error| damaged(&path, error))?;
    fs::write(&path, json).map_err(at_path("write", &path))
}

/// Mounts an image instead of what is there, and checks that containers can be put on it.
pub(super) fn mount(
    store: &Store,
    image: &Image,
    directory: &Path,
    missing: Option<DataDirectory<'_>>,
) -> Result<(), Error> {
    rootfs::detach(directory);
    rootfs::mount(store, &Request { image, directory, writable: None }, missing)?;
    rootfs::permit_on(directory, store.path()).inspect_err(|_| rootfs::detach(directory))?;
    Ok(())
}

fn read(layer: &Path) -> Result<Option<Image>, Error> {
    let path = layer.join(MOUNTED);
    let json = file::read(&path, LEN_MAX)?;
    json.map(|json| from_slice(&json).map_err(|error| damaged(&path, error))).transpose()
}

fn is_mounted(directory: &Path) -> bool {
    let device = |path: &Path| -> io::Result<u64> { Ok(path.symlink_metadata()?.dev()) };
    let outer = directory.parent().map(device);
    matches!((outer, device(directory)), (Some(Ok(outer)), Ok(inner)) if outer != inner)
}

fn id_of(name: &Path) -> Option<LayerId> {
    LayerId::try_from(name.to_str()?.to_owned()).ok()
}
