//! Reading and replacing small files.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::error::{Error, at_path, damaged};

/// Longest list that is read. A layer takes about 500 bytes, an image some thousand.
pub(crate) const LIST_LEN_MAX: u64 = 64 << 20;

/// Reads a whole file of at most `limit` bytes; `None` when there is none.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at_path("open", path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(at_path("read", path))?;
    if bytes.len() as u64 > limit {
        return Err(damaged(path, format_args!("it is longer than {limit} bytes")));
    }
    Ok(Some(bytes))
}

/// Replaces a file, all at once; a power loss leaves the old one or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    Replacement::stage(path, bytes, mode)?.commit()
}

/// A file that is on disk, and only has to be renamed.
#[derive(Debug)]
pub(crate) struct Replacement<'p> {
    path: &'p Path,
    staged: NamedTempFile,
}

impl<'p> Replacement<'p> {
    pub(crate) fn stage(path: &'p Path, bytes: &[u8], mode: u32) -> Result<Self, Error> {
        let failed = || at_path("write", path);
        let staged = tempfile::Builder::new().prefix(".tmp-").tempfile_in(parent(path));
        let mut staged = staged.map_err(failed())?;
        staged.write_all(bytes).map_err(failed())?;
        let permissions = fs::Permissions::from_mode(mode);
        staged.as_file().set_permissions(permissions).map_err(failed())?;
        staged.as_file().sync_data().map_err(failed())?;
        Ok(Self { path, staged })
    }

    pub(crate) fn commit(self) -> Result<(), Error> {
        self.staged.persist(self.path).map_err(|error| at_path("write", self.path)(error.error))?;
        sync(parent(self.path))
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

/// Makes the names in a directory survive a power loss.
pub(crate) fn sync(directory: &Path) -> Result<(), Error> {
    let file = File::open(directory).map_err(at_path("open", directory))?;
    file.sync_all().map_err(at_path("sync", directory))
}
