//! A directory handle: nothing is opened, made or renamed but beneath it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, FlockOperation, Mode, OFlags, ResolveFlags, flock, linkat, mkdirat, openat2, unlinkat,
};
use rustix::io::Errno;

use crate::error::{Error, at_path};
use crate::staged::Staged;

/// Symbolic links may lead about beneath the directory, but not out of it.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);

/// An open directory; clones share the handle.
#[derive(Debug, Clone)]
pub struct Directory {
    fd: Arc<OwnedFd>,
    path: PathBuf,
}

impl Directory {
    /// Opens the directory at `path`.
    ///
    /// # Errors
    /// Those of the file system, as of everything below.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(at_path("open", path))?;
        Ok(Self { fd: Arc::new(fd), path: path.to_owned() })
    }

    /// Opens the directory at `path`, making it and those above it where they are missing.
    pub fn create(path: &Path) -> Result<Self, Error> {
        fs::create_dir_all(path).map_err(at_path("create", path))?;
        Self::open(path)
    }

    /// Returns the path it was opened by, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the regular file `name` for reading; `None` when there is none.
    ///
    /// # Errors
    /// [`Error::NotAFile`] for anything but a regular file; [`Error::Io`] when a symbolic link leads out.
    pub fn open_file(&self, name: &str) -> Result<Option<File>, Error> {
        let path = self.path.join(name);
        // Without NONBLOCK, a named pipe in the place of a blob would hold us up for ever.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match openat2(self, name, flags, Mode::empty(), BENEATH) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(at_path("open", &path)(error)),
        };
        let metadata = file.metadata().map_err(at_path("examine", &path))?;
        if metadata.is_file() { Ok(Some(file)) } else { Err(Error::NotAFile { path }) }
    }

    /// Opens the directory `name`, making it if it is missing.
    pub fn subdirectory(&self, name: &str) -> Result<Self, Error> {
        let path = self.path.join(name);
        match mkdirat(self, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(at_path("create", &path)(error)),
        }
        self.find_subdirectory(name)?.ok_or_else(|| at_path("open", &path)(Errno::NOENT))
    }

    /// Opens the directory `name`; `None` when there is nothing of that name, or a file on the way there.
    pub fn find_subdirectory(&self, name: &str) -> Result<Option<Self>, Error> {
        let path = self.path.join(name);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat2(self, name, flags, Mode::empty(), BENEATH) {
            Ok(fd) => Ok(Some(Self { fd: Arc::new(fd), path })),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(at_path("open", &path)(error)),
        }
    }

    /// Lists what is in it, in no order. Names that are not UTF-8 are none of ours, and left out.
    pub fn names(&self) -> Result<Vec<String>, Error> {
        let entries = rustix::fs::Dir::read_from(self).map_err(at_path("list", &self.path))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(at_path("list", &self.path))?;
            match entry.file_name().to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(name) => names.push(name.to_owned()),
            }
        }
        Ok(names)
    }

    /// Removes a file; `false` when there is none.
    pub fn remove(&self, name: &str) -> Result<bool, Error> {
        self.unlink(name, AtFlags::empty())
    }

    /// Removes an empty directory; `false` when there is none.
    pub fn remove_directory(&self, name: &str) -> Result<bool, Error> {
        self.unlink(name, AtFlags::REMOVEDIR)
    }

    fn unlink(&self, name: &str, flags: AtFlags) -> Result<bool, Error> {
        match unlinkat(self, name, flags) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(at_path("remove", &self.path.join(name))(error)),
        }
    }

    /// Gives the file `name` the same name in `to` as well; `false` when there is no such file. One that has the name there
    /// keeps it.
    pub fn link(&self, name: &str, to: &Self) -> Result<bool, Error> {
        match linkat(self, name, to, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::EXIST) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(at_path("link", &to.path.join(name))(error)),
        }
    }

    /// Tells whether there is nothing in it.
    pub fn is_empty(&self) -> Result<bool, Error> {
        let entries = rustix::fs::Dir::read_from(self).map_err(at_path("list", &self.path))?;
        for entry in entries {
            let entry = entry.map_err(at_path("list", &self.path))?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Starts a file that has no name here until it is published.
    pub fn stage(&self) -> Result<Staged, Error> {
        Staged::new(self).map_err(at_path("create a file in", &self.path))
    }

    /// Writes the file `name`, in place of the one that is there.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.path.join(name);
        let mut staged = self.stage()?;
        staged.write_all(bytes).map_err(at_path("write", &path))?;
        staged.publish(self, name).map_err(at_path("write", &path))
    }

    /// Makes the names in it survive a power loss.
    pub fn sync(&self) -> Result<(), Error> {
        rustix::fs::fsync(self).map_err(at_path("write", &self.path))
    }

    /// Waits until no other process holds the lock, and holds it until the returned value is dropped.
    pub fn lock(&self) -> Result<Lock, Error> {
        // The lock belongs to the open file, so each holder opens its own.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let own = openat2(self, ".", flags, Mode::empty(), BENEATH).map_err(at_path("lock", &self.path))?;
        rustix::io::retry_on_intr(|| flock(&own, FlockOperation::LockExclusive))
            .map_err(at_path("lock", &self.path))?;
        Ok(Lock { _held: own })
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The right to change what several processes change in a directory.
#[derive(Debug)]
pub struct Lock {
    _held: OwnedFd,
}

/// Reads a whole file of at most `limit` bytes.
pub fn read_limited(file: File, path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    use io::Read;
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(at_path("read", path))?;
    match bytes.len() as u64 {
        len if len > limit => Err(Error::FileTooLong { path: path.to_owned(), limit }),
        _ => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_lead_about_inside_but_not_out() {
        let outside = tempfile::tempdir().unwrap();
        let inside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "x").unwrap();
        fs::write(inside.path().join("file"), "x").unwrap();
        symlink("file", inside.path().join("near")).unwrap();
        symlink(outside.path().join("secret"), inside.path().join("far")).unwrap();
        symlink(outside.path(), inside.path().join("dir")).unwrap();
        let directory = Directory::open(inside.path()).unwrap();
        assert!(directory.open_file("near").unwrap().is_some());
        assert!(directory.open_file("missing").unwrap().is_none());
        assert!(directory.open_file("far").is_err());
        assert!(directory.open_file("dir/secret").is_err());
        assert!(directory.open_file("../secret").is_err());
        assert!(directory.subdirectory("dir").is_err());
    }

    #[test]
    fn only_regular_files_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::open(dir.path()).unwrap();
        rustix::fs::mknodat(&directory, "pipe", rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert!(matches!(directory.open_file("pipe"), Err(Error::NotAFile { .. })));
        assert!(matches!(directory.open_file("."), Err(Error::NotAFile { .. })));
    }

    #[test]
    fn replaced_files_are_whole_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::open(dir.path()).unwrap();
        assert!(directory.is_empty().unwrap());
        directory.replace("a", b"one").unwrap();
        directory.replace("a", b"two").unwrap();
        drop(directory.stage().unwrap());
        assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(!directory.is_empty().unwrap());
    }

    #[test]
    fn long_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "12345").unwrap();
        let read = |limit| read_limited(File::open(dir.path().join("a")).unwrap(), Path::new("a"), limit);
        assert_eq!(read(5).unwrap(), b"12345");
        assert!(matches!(read(4), Err(Error::FileTooLong { limit: 4, .. })));
    }
}
