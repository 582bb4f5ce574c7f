//! Records of mounts: what is mounted where, so that it can be mounted again, and is not collected as garbage.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use chunked::Digest;
use serde::{Deserialize, Serialize};

use crate::directory::Directory;
use crate::error::{Damage, Error, bad_json};
use crate::images::Image;

/// Longest record in bytes: those of images with hundreds of layers are below this.
const RECORD_LEN_MAX: u64 = 1 << 20;

/// An image that is mounted, or shall be again after a reboot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountRecord {
    /// Where: an absolute path.
    pub directory: PathBuf,
    /// What, as it was when it was mounted. The store may have another image of that name by now.
    pub image: Image,
    /// Where changes go: an absolute path. `None` when it is read-only.
    pub writable: Option<PathBuf>,
}

/// The records of mounts of a store: `mounts/<hex>.json`, named by the SHA-256 of the directory's path.
///
/// As long as there is a record, nothing that its image needs is garbage, whether it is mounted now or not.
#[derive(Debug)]
pub struct Mounts {
    directory: Directory,
}

impl Mounts {
    pub(crate) fn new(directory: Directory) -> Self {
        Self { directory }
    }

    /// Writes a record, in place of another one of the same directory. A power loss does not take it.
    ///
    /// # Errors
    /// [`Error::Damaged`] when a path is not UTF-8; those of the file system.
    pub fn put(&self, record: &MountRecord) -> Result<(), Error> {
        let name = name(&record.directory);
        let json = serde_json::to_vec_pretty(record).map_err(bad_json(&self.directory.path_of(&name)))?;
        self.directory.replace(&name, &json)
    }

    /// Returns the record of a directory; `None` when there is none.
    ///
    /// # Errors
    /// [`Error::Damaged`]; those of the file system.
    pub fn get(&self, directory: &Path) -> Result<Option<MountRecord>, Error> {
        self.read(&name(directory))
    }

    /// Lists all records, in the order of their directories.
    ///
    /// # Errors
    /// [`Error::Damaged`] when one is; those of the file system.
    pub fn list(&self) -> Result<Vec<MountRecord>, Error> {
        let names = self.directory.names()?.into_iter().filter(|name| name.ends_with(".json"));
        let records = names.map(|name| self.read(&name)).filter_map(Result::transpose);
        let mut records = records.collect::<Result<Vec<_>, _>>()?;
        records.sort_by(|left, right| left.directory.cmp(&right.directory));
        Ok(records)
    }

    /// Removes the record of a directory; `false` when there is none.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn remove(&self, directory: &Path) -> Result<bool, Error> {
        self.directory.remove(&name(directory))
    }

    fn read(&self, name: &str) -> Result<Option<MountRecord>, Error> {
        let Some(json) = self.directory.read(name, RECORD_LEN_MAX)? else { return Ok(None) };
        let path = self.directory.path_of(name);
        let record: MountRecord = serde_json::from_slice(&json).map_err(bad_json(&path))?;
        match name == self::name(&record.directory) {
            true => Ok(Some(record)),
            false => Err(Error::Damaged { path, reason: Damage::Misnamed }),
        }
    }
}

fn name(directory: &Path) -> String {
    format!("{}.json", Digest::of(directory.as_os_str().as_bytes()).hex())
}
