//! Locks that several processes, and threads of one, hold on files.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, retry_on_intr};

use crate::directory::Directory;
use crate::error::{Error, at_path};

/// Opens the file `name`, making it if it is missing, and waits until no one else holds a lock on it.
///
/// The holder may remove the file: whoever waited then finds that the name is not that of the locked file any more, and
/// starts over.
pub(crate) fn exclusive(directory: &Directory, name: &str) -> Result<File, Error> {
    loop {
        let file = directory.open_or_create(name)?;
        retry_on_intr(|| flock(&file, FlockOperation::LockExclusive))
            .map_err(at_path("lock", directory.path_of(name)))?;
        if is_named(directory, name, &file)? {
            return Ok(file);
        }
    }
}

/// Does what [`exclusive`] does if that takes no waiting.
pub(crate) fn try_exclusive(directory: &Directory, name: &str) -> Result<Option<File>, Error> {
    loop {
        let file = directory.open_or_create(name)?;
        match retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockExclusive)) {
            Ok(()) if is_named(directory, name, &file)? => return Ok(Some(file)),
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(at_path("lock", directory.path_of(name))(error)),
        }
    }
}

/// Opens the file `name`, making it if it is missing, and waits until no one holds it exclusively. Where nothing can be
/// written, one that is there is locked all the same.
pub(crate) fn shared(directory: &Directory, name: &str) -> Result<File, Error> {
    loop {
        let file = match directory.open_or_create(name) {
            Err(error) if error.is_read_only() => directory.open_file(name)?.ok_or(error)?,
            file => file?,
        };
        retry_on_intr(|| flock(&file, FlockOperation::LockShared))
            .map_err(at_path("lock", directory.path_of(name)))?;
        if is_named(directory, name, &file)? {
            return Ok(file);
        }
    }
}

/// Turns a lock into an exclusive one once no one else holds it. For a moment it is no lock at all, so what was read under
/// it may have changed.
pub(crate) fn upgrade(file: &File, directory: &Directory, name: &str) -> Result<(), Error> {
    retry_on_intr(|| flock(file, FlockOperation::LockExclusive))
        .map_err(at_path("lock", directory.path_of(name)))
}

/// Does what [`upgrade`] does if that takes no waiting. Otherwise the lock is what it was.
pub(crate) fn try_upgrade(file: &File, directory: &Directory, name: &str) -> Result<bool, Error> {
    let failed = || at_path("lock", directory.path_of(name));
    match retry_on_intr(|| flock(file, FlockOperation::NonBlockingLockExclusive)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => downgrade(file).map(|()| false).map_err(failed()),
        Err(error) => Err(failed()(error)),
    }
}

/// Turns a lock into a shared one.
pub(crate) fn downgrade(file: &File) -> Result<(), Errno> {
    retry_on_intr(|| flock(file, FlockOperation::LockShared))
}

/// Tells whether `name` is still the name of `file`.
fn is_named(directory: &Directory, name: &str, file: &File) -> Result<bool, Error> {
    let held = file.metadata().map_err(at_path("examine", directory.path_of(name)))?;
    let named = directory.stat(name)?;
    Ok(named.is_some_and(|named| named.st_dev == held.dev() && named.st_ino == held.ino()))
}
