//! A directory handle: nothing is opened, made, renamed or removed but beneath it, and no symbolic link is followed.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Stat, chmodat, mkdirat, openat2, renameat,
    renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

use crate::error::{Error, at_path};
use crate::staged::{Staged, with_free_name};

/// The store makes no symbolic links, so whoever did is not to be followed.
const BENEATH: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Without `NONBLOCK`, a named pipe in the place of a file would hold us up for ever.
const FILE: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// An open directory; clones share the handle.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    fd: Arc<OwnedFd>,
    path: Arc<Path>,
}

impl Directory {
    /// Opens the directory at `path`, through symbolic links if need be.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let fd = rustix::fs::open(path, DIRECTORY, Mode::empty()).map_err(at_path("open", path))?;
        Ok(Self { fd: Arc::new(fd), path: path.into() })
    }

    /// Opens the directory at `path`, making it and those above it where they are missing.
    pub(crate) fn create(path: &Path) -> Result<Self, Error> {
        fs::create_dir_all(path).map_err(at_path("create", path))?;
        Self::open(path)
    }

    /// Returns the path it was opened by, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of what is in it, for messages.
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Opens the directory `name`; `None` when there is none.
    pub(crate) fn find_subdirectory(&self, name: &str) -> Result<Option<Self>, Error> {
        match openat2(self, name, DIRECTORY, Mode::empty(), BENEATH) {
            Ok(fd) => Ok(Some(Self { fd: Arc::new(fd), path: self.path_of(name).into() })),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(at_path("open", self.path_of(name))(error)),
        }
    }

    /// Opens the directory `name`, making it if it is missing.
    pub(crate) fn subdirectory(&self, name: &str) -> Result<Self, Error> {
        self.subdirectory_as(name, 0o755)
    }

    /// Opens the directory `name`, making it for its owner alone if it is missing. One that is there stays as it is.
    pub(crate) fn private_subdirectory(&self, name: &str) -> Result<Self, Error> {
        self.subdirectory_as(name, 0o700)
    }

    fn subdirectory_as(&self, name: &str, mode: u32) -> Result<Self, Error> {
        if let Some(there) = self.find_subdirectory(name)? {
            return Ok(there);
        }
        self.make(name, mode)?;
        let missing = || at_path("open", self.path_of(name))(Errno::NOENT);
        self.find_subdirectory(name)?.ok_or_else(missing)
    }

    /// Makes the directory `name` unless something is there.
    pub(crate) fn make_subdirectory(&self, name: &str) -> Result<(), Error> {
        self.make(name, 0o755)
    }

    fn make(&self, name: &str, mode: u32) -> Result<(), Error> {
        match mkdirat(self, name, Mode::from_raw_mode(mode)) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(at_path("create", self.path_of(name))(error)),
        }
    }

    /// Opens the regular file `name` for reading; `None` when there is none.
    pub(crate) fn open_file(&self, name: &str) -> Result<Option<File>, Error> {
        match openat2(self, name, FILE | OFlags::RDONLY, Mode::empty(), BENEATH) {
            Ok(fd) => self.regular(name, fd.into()).map(Some),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(at_path("open", self.path_of(name))(error)),
        }
    }

    /// Opens the regular file `name` for reading and writing, making it if it is missing, for its owner alone.
    pub(crate) fn open_or_create(&self, name: &str) -> Result<File, Error> {
        let flags = FILE | OFlags::RDWR | OFlags::CREATE;
        let fd = openat2(self, name, flags, Mode::from_raw_mode(0o600), BENEATH)
            .map_err(at_path("open", self.path_of(name)))?;
        self.regular(name, fd.into())
    }

    fn regular(&self, name: &str, file: File) -> Result<File, Error> {
        let metadata = file.metadata().map_err(at_path("examine", self.path_of(name)))?;
        if metadata.is_file() { Ok(file) } else { Err(Error::NotAFile { path: self.path_of(name) }) }
    }

    /// Examines what is named `name`, and not what a symbolic link points at; `None` when there is nothing.
    pub(crate) fn stat(&self, name: &str) -> Result<Option<Stat>, Error> {
        match statat(self, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(at_path("examine", self.path_of(name))(error)),
        }
    }

    /// Lists what is in it, in no order. Names that are not UTF-8 are none of ours, and left out.
    pub(crate) fn names(&self) -> Result<Vec<String>, Error> {
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

    /// Reads the whole file `name`, of at most `limit` bytes; `None` when there is none.
    pub(crate) fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some(file) = self.open_file(name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(at_path("read", self.path_of(name)))?;
        match bytes.len() as u64 {
            len if len > limit => Err(Error::TooLong { path: self.path_of(name), limit }),
            _ => Ok(Some(bytes)),
        }
    }

    /// Writes the file `name`, in place of the one that is there, and makes it survive a power loss.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let failed = || at_path("write", self.path_of(name));
        let mut staged = Staged::new(self, self, 0o644).map_err(failed())?;
        staged.write_all(bytes).map_err(failed())?;
        staged.file().sync_data().map_err(failed())?;
        staged.replace(self, name).map_err(failed())?;
        self.sync()
    }

    /// Removes a file; `false` when there is none.
    pub(crate) fn remove(&self, name: &str) -> Result<bool, Error> {
        self.unlink(name, AtFlags::empty())
    }

    /// Removes a directory and the files in it; `false` when there is none. A directory in it is an error.
    pub(crate) fn remove_directory(&self, name: &str) -> Result<bool, Error> {
        let Some(directory) = self.find_subdirectory(name)? else { return Ok(false) };
        for file in directory.names()? {
            directory.remove(&file)?;
        }
        self.unlink(name, AtFlags::REMOVEDIR)
    }

    /// Removes a file, or a directory and all below it; `false` when there is none.
    pub(crate) fn remove_any(&self, name: &str) -> Result<bool, Error> {
        match self.is_directory(name)? {
            None => Ok(false),
            Some(false) => self.remove(name),
            Some(true) => self.remove_tree(name),
        }
    }

    /// Whatever is deep comes up to this directory first, so that no path is too long and no handle is kept.
    fn remove_tree(&self, name: &str) -> Result<bool, Error> {
        let mut waiting = vec![name.to_owned()];
        while let Some(name) = waiting.pop() {
            self.open_up(&name)?;
            let Some(directory) = self.find_subdirectory(&name)? else { continue };
            for child in directory.names()? {
                if directory.is_directory(&child)? != Some(true) {
                    directory.remove(&child)?;
                    continue;
                }
                directory.open_up(&child)?;
                let (raised, ()) = with_free_name(|free| renameat(&directory, &child, self, free))
                    .map_err(at_path("rename", directory.path_of(&child)))?;
                waiting.push(raised);
            }
            self.unlink(&name, AtFlags::REMOVEDIR)?;
        }
        Ok(true)
    }

    /// Lets its owner into a directory, and move it: one of a container's may be closed.
    fn open_up(&self, name: &str) -> Result<(), Error> {
        chmodat(self, name, Mode::RWXU, AtFlags::empty()).map_err(at_path("open", self.path_of(name)))
    }

    /// Tells whether what is named `name` is a directory; `None` when there is nothing.
    fn is_directory(&self, name: &str) -> Result<Option<bool>, Error> {
        let stat = self.stat(name)?;
        Ok(stat.map(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory))
    }

    fn unlink(&self, name: &str, flags: AtFlags) -> Result<bool, Error> {
        match unlinkat(self, name, flags) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(at_path("remove", self.path_of(name))(error)),
        }
    }

    /// Renames a file or directory into `to`; `false` when the name is taken there.
    pub(crate) fn rename_new(&self, name: &str, to: &Self, new_name: &str) -> Result<bool, Error> {
        let renamed = match renameat_with(self, name, to, new_name, RenameFlags::NOREPLACE) {
            // Not every file system can refuse to replace.
            Err(Errno::INVAL | Errno::NOSYS) => {
                if to.stat(new_name)?.is_some() {
                    return Ok(false);
                }
                renameat(self, name, to, new_name)
            }
            renamed => renamed,
        };
        match renamed {
            Ok(()) => Ok(true),
            Err(Errno::EXIST | Errno::NOTEMPTY) => Ok(false),
            Err(error) => Err(at_path("rename", self.path_of(name))(error)),
        }
    }

    /// Makes the names in it survive a power loss.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        rustix::fs::fsync(self).map_err(at_path("sync", &self.path))
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
