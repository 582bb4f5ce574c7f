//! The root file system of an image, at a directory: mounted, unmounted, and mounted again after a reboot.
//!
//! Each mount has a [`MountRecord`] in the store from before it is made until after it is gone, so nothing that it needs
//! is collected as garbage, and [`restore`] knows what was there.

mod progress;
mod turn;
mod writable;

use std::fs;
use std::io;
use std::iter;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use serde::Serialize;
use store::{ChainId, Image, LayerState, Listings, MountRecord, Store};

pub use crate::metadata::Source;
pub use crate::overlay::{permit, permit_on};
pub use progress::Progress;

use crate::error::{Error, at_path};
use crate::metadata;
use crate::mountinfo::{Mountinfo, SOURCE, Seen};
use crate::overlay::{Checked, DataDirectory, Overlay, Parts, Way};
use crate::quarantine;
use turn::Turn;
use writable::Upper;

/// A mount to be made.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The image.
    pub image: &'a Image,
    /// Where; it is made if it is missing.
    pub directory: &'a Path,
    /// Where changes go; it is made if it is missing. `None` for a mount that is read-only.
    pub writable: Option<&'a Path>,
}

/// A mount that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mounted {
    /// Where: an absolute path.
    pub directory: PathBuf,
    /// Identifies the tree.
    pub chain: ChainId,
    /// Whether its metadata had to be made; otherwise an earlier mount did that.
    pub is_new: bool,
    /// Where the kernel reads its metadata.
    pub metadata: Source,
    /// How the overlay was put together.
    pub way: Way,
    /// How much of it could be checked.
    pub checked: Checked,
}

/// What became of a mount that there is a record of.
#[derive(Debug)]
pub struct Restored {
    /// The record.
    pub record: MountRecord,
    /// The mount, or why it could not be made.
    pub outcome: Result<Mounted, Error>,
}

/// A mount that there is a record of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The record.
    #[serde(flatten)]
    pub record: MountRecord,
    /// Whether it is mounted now, as this process sees it.
    pub is_mounted: bool,
    /// How much of its content is here.
    pub progress: Progress,
}

/// Mounts an image. What of it is not in the store is taken from `missing`, a directory that serves it.
///
/// # Errors
/// [`Error::Incomplete`] when something is not in the store and there is no such directory; [`Error::AlreadyMounted`];
/// [`Error::NoWay`] and [`Error::Kernel`] when the kernel cannot; those of the store and the file system.
pub fn mount(
    store: &Store,
    request: &Request<'_>,
    missing: Option<DataDirectory<'_>>,
) -> Result<Mounted, Error> {
    permit()?;
    let directory = absolute(request.directory)?;
    let writable = request.writable.map(absolute).transpose()?;
    let _turn = Turn::take(iter::once(directory.as_path()).chain(writable.as_deref()))?;
    if Mountinfo::read()?.at(&directory) != Seen::Nothing {
        return Err(Error::AlreadyMounted { directory });
    }
    if let Some(writable) = &writable {
        refuse_shared(store, &directory, writable)?;
    }
    let record = MountRecord { directory, image: request.image.clone(), writable };
    let prepared = Prepared::of(store, &record, missing)?;
    store.mounts().put(&record)?;
    let attached = prepared.overlay.attach(&record.directory);
    if attached.is_err() {
        store.mounts().remove(&record.directory)?;
    }
    attached.map(|()| prepared.mounted)
}

/// Mounts an image whose content, even what is here, is read through `content`. There is no record of it: whoever mounts it
/// unmounts it.
///
/// # Errors
/// Those of [`mount`].
pub fn mount_passing(
    store: &Store,
    request: &Request<'_>,
    content: DataDirectory<'_>,
) -> Result<Mounted, Error> {
    let record = MountRecord {
        directory: absolute(request.directory)?,
        image: request.image.clone(),
        writable: request.writable.map(absolute).transpose()?,
    };
    let prepared = Prepared::with(store, &record, &[content])?;
    prepared.overlay.attach(&record.directory)?;
    Ok(prepared.mounted)
}

/// Makes the metadata of an image, so that mounting it is quick. Whoever has something else to wait for, or has just read the
/// entries of its layers, does this before; [`mount`] does it otherwise. Tells whether it was not there.
///
/// # Errors
/// Those of the store.
pub fn make_metadata(store: &Store, image: &Image, listings: &Listings) -> Result<bool, Error> {
    metadata::make_ahead(store, image, listings)
}

/// Unmounts a directory, and forgets the mount; `false` when it was not mounted, but only remembered. With `is_lazy`,
/// those who use it now may go on.
///
/// # Errors
/// [`Error::NotMounted`] when this store knows nothing of it; [`Error::Covered`] when something else is mounted over it;
/// [`Error::Busy`] when it is in use.
pub fn umount(store: &Store, directory: &Path, is_lazy: bool) -> Result<bool, Error> {
    let directory = fs::canonicalize(directory).map_err(at_path("find", directory))?;
    if store.mounts().get(&directory)?.is_none() {
        return Err(Error::NotMounted { directory });
    }
    let seen = Mountinfo::read()?.at(&directory);
    if seen == Seen::Covered {
        return Err(Error::Covered { directory });
    }
    if seen == Seen::Overlay {
        let lazy = if is_lazy { UnmountFlags::DETACH } else { UnmountFlags::empty() };
        match unmount(&directory, UnmountFlags::NOFOLLOW | lazy) {
            Ok(()) => {}
            Err(Errno::BUSY) => return Err(Error::Busy { directory }),
            Err(error) => return Err(at_path("unmount", directory)(error)),
        }
    }
    store.mounts().remove(&directory)?;
    Ok(seen == Seen::Overlay)
}

/// Takes away whatever is mounted on a directory, without asking whose it is. Those who use it may go on, and a record of it
/// stays.
pub fn detach(directory: &Path) {
    // It fails when nothing more is there, or for somebody who could not have mounted anything.
    while unmount(directory, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH).is_ok() {}
}

/// Mounts again what there is a record of and is not mounted: after a reboot. Returns what became of each.
///
/// # Errors
/// When the records cannot be read.
pub fn restore(store: &Store, missing: Option<DataDirectory<'_>>) -> Result<Vec<Restored>, Error> {
    let mounted = Mountinfo::read()?;
    let is_gone = |record: &MountRecord| mounted.at(&record.directory) == Seen::Nothing;
    let records = store.mounts().list()?.into_iter().filter(is_gone);
    let restored = |record: MountRecord| Restored { outcome: restore_one(store, &record, missing), record };
    Ok(records.map(restored).collect())
}

fn restore_one(
    store: &Store,
    record: &MountRecord,
    missing: Option<DataDirectory<'_>>,
) -> Result<Mounted, Error> {
    permit()?;
    fs::create_dir_all(&record.directory).map_err(at_path("create", &record.directory))?;
    let prepared = Prepared::of(store, record, missing)?;
    prepared.overlay.attach(&record.directory)?;
    Ok(prepared.mounted)
}

/// Lists the mounts that there is a record of.
///
/// # Errors
/// When the records, or a TOC of an image that is not complete, cannot be read.
pub fn list(store: &Store) -> Result<Vec<Status>, Error> {
    let mounted = Mountinfo::read()?;
    let status = |record: MountRecord| {
        let is_mounted = mounted.at(&record.directory) != Seen::Nothing;
        let progress = Progress::of(store, &record.image)?;
        Ok(Status { record, is_mounted, progress })
    };
    store.mounts().list()?.into_iter().map(status).collect()
}

/// Tells whether everything that an image needs is in the store. A layer may be mounted for what this image claims of it,
/// whatever others do.
///
/// # Errors
/// Those of the store; a layer that is missing altogether is [`store::Error::NoLayer`]. [`Error::Quarantined`].
pub fn is_complete(store: &Store, image: &Image) -> Result<bool, Error> {
    let mut is_complete = true;
    let claims = store.images().claims(image)?.unwrap_or_default();
    for (index, toc_digest) in image.layers.iter().enumerate() {
        let missing =
            || store::Error::NoLayer { image: image.name.clone(), toc_digest: Box::new(*toc_digest) };
        let record = store.layers().get(toc_digest)?.ok_or_else(missing)?;
        let claimed = claims.get(index).copied().or(record.diff_id);
        quarantine::check_claim(store.path(), &record, claimed)?;
        is_complete &= record.state >= LayerState::Complete;
    }
    Ok(is_complete)
}

/// A mount that only has to be attached.
struct Prepared {
    overlay: Overlay,
    mounted: Mounted,
}

impl Prepared {
    fn of(store: &Store, record: &MountRecord, missing: Option<DataDirectory<'_>>) -> Result<Self, Error> {
        let missing = match (is_complete(store, &record.image)?, missing) {
            (true, _) => None,
            (false, Some(missing)) => Some(missing),
            (false, None) => return Err(Error::Incomplete { image: record.image.name.clone() }),
        };
        let root = fs::canonicalize(store.path()).map_err(at_path("find", store.path()))?;
        let objects = DataDirectory { fd: store.objects().directory(), path: &root.join("objects") };
        let data: Vec<_> = [Some(objects), missing].into_iter().flatten().collect();
        Self::with(store, record, &data)
    }

    fn with(store: &Store, record: &MountRecord, data: &[DataDirectory<'_>]) -> Result<Self, Error> {
        let metadata::Prepared { metadata, source, is_new } = metadata::prepare(store, &record.image)?;
        let upper = record.writable.as_deref().map(|path| Upper::make(path, metadata.as_fd())).transpose()?;
        let root = fs::canonicalize(store.path()).map_err(at_path("find", store.path()))?;
        let overlay = Overlay::assemble(&Parts {
            metadata: metadata.root(),
            form: metadata.form(),
            data,
            writable: upper.as_ref().map(Upper::as_writable),
            scratch: &root.join("tmp"),
            source: SOURCE,
        })?;
        let mounted = Mounted {
            directory: record.directory.clone(),
            chain: ChainId::of(&record.image.layers),
            is_new,
            metadata: source,
            way: overlay.way(),
            checked: overlay.checked(),
        };
        Ok(Self { overlay, mounted })
    }
}

/// Makes a directory if it is missing, and returns its absolute path without links.
fn absolute(directory: &Path) -> Result<PathBuf, Error> {
    match fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(at_path("create", directory)(error));
        }
        _ => {}
    }
    let path = fs::canonicalize(directory).map_err(at_path("find", directory))?;
    if path.is_dir() { Ok(path) } else { Err(Error::NotADirectory { path }) }
}

/// Two mounts that write to one directory would spoil each other.
fn refuse_shared(store: &Store, directory: &Path, writable: &Path) -> Result<(), Error> {
    let shares =
        |record: &MountRecord| record.directory != *directory && record.writable.as_deref() == Some(writable);
    match store.mounts().list()?.into_iter().find(shares) {
        Some(other) => {
            Err(Error::WritableInUse { writable: writable.to_owned(), directory: other.directory })
        }
        None => Ok(()),
    }
}
