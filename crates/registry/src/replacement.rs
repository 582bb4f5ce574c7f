//! A file that takes the place of another when it is complete.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::directory::Directory;
use crate::error::{Error, at_path};
use crate::staged::Staged;

/// A file being written beside the one whose place it takes with [`Replacement::commit`]. Dropped before, it leaves
/// nothing, and where the file system has nameless files not even a killed process does.
#[derive(Debug)]
pub struct Replacement {
    staged: Staged,
    directory: Directory,
    name: String,
    path: PathBuf,
}

impl Replacement {
    /// Starts the file that is to be at `path`. The file there, if any, stays as it is until the commit; where `path` is
    /// a symbolic link, that is the file it leads to.
    ///
    /// # Errors
    /// [`Error::NotAFile`] when something else than a regular file is there, such as a device or a link to nothing, or
    /// when the path does not end in a name in UTF-8; and those of the file system.
    pub fn start(path: &Path) -> Result<Self, Error> {
        let no_file = || Error::NotAFile { path: path.to_owned() };
        let place = resolve(path).ok_or_else(no_file)?;
        let name = place.file_name().and_then(OsStr::to_str).ok_or_else(no_file)?.to_owned();
        let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let directory = Directory::open(parent)?;
        Ok(Self { staged: directory.stage()?, directory, name, path: path.to_owned() })
    }

    /// Returns the path that was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts the file in its place, and returns when both its bytes and its name survive a power loss.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn commit(self) -> Result<(), Error> {
        let Self { staged, directory, name, path } = self;
        staged.publish(&directory, &name).map_err(at_path("write", &path))?;
        directory.sync()
    }

    pub(crate) fn file(&self) -> &File {
        self.staged.file()
    }
}

/// Follows links to the regular file at `path`, or to where one can be; `None` when something else is there.
fn resolve(path: &Path) -> Option<PathBuf> {
    match fs::canonicalize(path) {
        Ok(place) => fs::metadata(&place).is_ok_and(|there| there.is_file()).then_some(place),
        // Nothing is there. A link that leads nowhere is: it would be the one to be replaced.
        Err(_) => fs::symlink_metadata(path).is_err().then(|| path.to_owned()),
    }
}

impl Write for Replacement {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.staged.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.staged.flush()
    }
}

impl Seek for Replacement {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.staged.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_old_file_stays_until_the_new_one_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "old").unwrap();
        let mut given_up = Replacement::start(&path).unwrap();
        given_up.write_all(b"half").unwrap();
        drop(given_up);
        let mut new = Replacement::start(&path).unwrap();
        new.write_all(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        new.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn links_stay_and_what_is_no_file_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let [file, link, broken] = ["file", "link", "broken"].map(|name| dir.path().join(name));
        fs::write(&file, "old").unwrap();
        symlink("file", &link).unwrap();
        symlink("nowhere", &broken).unwrap();
        let mut new = Replacement::start(&link).unwrap();
        new.write_all(b"new").unwrap();
        new.commit().unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        for other in [broken.as_path(), dir.path(), Path::new("/dev/null")] {
            assert!(matches!(Replacement::start(other), Err(Error::NotAFile { .. })), "{}", other.display());
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = Replacement::start(&dir.path().join("missing/file")).unwrap_err();
        assert!(error.to_string().ends_with("missing`"), "{error}");
        assert!(matches!(Replacement::start(Path::new("..")), Err(Error::NotAFile { .. })));
    }
}
