//! A directory whose files are read although others change it meanwhile, perhaps with bad intent.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat, openat2, readlinkat, statat,
};
use rustix::io::Errno;

use super::{Stamp, Visit};
use crate::error::{Error, at_path};

/// Links lead to what they would lead to if the directory were the root of the machine. Nothing that is mounted below is
/// entered: it may be a pseudo file system whose files act when they are read, or be mounted only by the look at it.
const WITHIN: ResolveFlags =
    ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS).union(ResolveFlags::NO_XDEV);

/// For what a listing names, which is no link.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

const HANDLE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

const LIST: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A directory below which regular files are found, and nothing else. It ends where something else is mounted.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
    path: PathBuf,
}

/// A regular file that was found, and not opened yet. Whatever takes its name meanwhile, it stays that file.
#[derive(Debug)]
pub struct Regular {
    handle: OwnedFd,
    stamp: Stamp,
}

impl Root {
    /// Opens the directory at `path`, through symbolic links if need be.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = openat(CWD, path, flags, Mode::empty()).map_err(at_path("open", path))?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// Returns the path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Finds the regular file at a path below. Links on the way are followed without leaving the directory; one at the end
    /// is not a file.
    pub fn find(&self, path: &Path) -> Option<Regular> {
        let handle = openat2(&self.fd, path, HANDLE, Mode::empty(), WITHIN).ok()?;
        Regular::of(handle)
    }

    /// Tells whether there may be files below a directory; only what the kernel says for sure is `false`.
    pub(super) fn may_have(&self, directory: &Path) -> bool {
        if directory.as_os_str().is_empty() {
            return true;
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat2(&self.fd, directory, flags, Mode::empty(), WITHIN) {
            Ok(_) => true,
            Err(error) => {
                !matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::XDEV | Errno::LOOP | Errno::ACCESS)
            }
        }
    }

    /// Opens a directory that belongs to this one, at a path below. A link on the way leads nowhere; what is mounted there is
    /// entered, as podman mounts its directory of layers on itself.
    pub fn subdirectory(&self, path: &Path) -> Option<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = BENEATH.difference(ResolveFlags::NO_XDEV);
        let fd = openat2(&self.fd, path, flags, Mode::empty(), resolve).ok()?;
        Some(Self { fd, path: self.path.join(path) })
    }

    /// Reads the whole file at a path below; `None` when there is none, or it is longer than `limit` bytes.
    pub fn read(&self, path: &Path, limit: u64) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        self.find(path)?.open()?.take(limit.saturating_add(1)).read_to_end(&mut bytes).ok()?;
        (bytes.len() as u64 <= limit).then_some(bytes)
    }

    /// Reads where the symbolic link at a path below leads to.
    pub fn link(&self, path: &Path) -> Option<PathBuf> {
        let handle = openat2(&self.fd, path, HANDLE, Mode::empty(), WITHIN).ok()?;
        let target = readlinkat(&handle, "", Vec::new()).ok()?;
        Some(OsString::from_vec(target.into_bytes()).into())
    }

    /// Lists the regular files that are not empty, with their paths below. Directories that `leave_out` is true for are not
    /// entered, nor are those that cannot be.
    ///
    /// # Errors
    /// When the directory itself cannot be read.
    pub fn walk(&self, leave_out: &dyn Fn(&Path, &Stat) -> bool, visit: Visit<'_>) -> Result<(), Error> {
        let mut pending = vec![PathBuf::new()];
        while let Some(directory) = pending.pop() {
            let listed = match self.list(&directory) {
                Err(error) if directory.as_os_str().is_empty() => {
                    return Err(at_path("list", &self.path)(error));
                }
                // It is gone, or not for us to read.
                Err(_) => continue,
                Ok(listed) => listed,
            };
            for (path, stat) in listed {
                match FileType::from_raw_mode(stat.st_mode) {
                    FileType::Directory if !leave_out(&path, &stat) => pending.push(path),
                    FileType::RegularFile if visit(&path, Stamp::of(&stat)).is_break() => return Ok(()),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Lists the directories, and the files that are not empty, in a directory below.
    fn list(&self, directory: &Path) -> Result<Vec<(PathBuf, Stat)>, Errno> {
        let here = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        let fd = openat2(&self.fd, here, LIST, Mode::empty(), BENEATH)?;
        let mut listed = Vec::new();
        for entry in Dir::read_from(fd.as_fd())? {
            let entry = entry?;
            let name = entry.file_name();
            let may_be =
                matches!(entry.file_type(), FileType::RegularFile | FileType::Directory | FileType::Unknown);
            if !may_be || matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(stat) = statat(&fd, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let is_empty =
                stat.st_size == 0 && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
            if !is_empty {
                listed.push((directory.join(OsStr::from_bytes(name.to_bytes())), stat));
            }
        }
        Ok(listed)
    }
}

impl Regular {
    /// Takes a handle; `None` unless it is of a regular file.
    fn of(handle: OwnedFd) -> Option<Self> {
        let stat = fstat(&handle).ok()?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        is_file.then(|| Self { handle, stamp: Stamp::of(&stat) })
    }

    /// Returns what it looked like when it was found.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Opens it for reading. The handle leads to the file that was looked at, so nothing can be put in its place: a named
    /// pipe is never opened, nor is a device.
    pub fn open(&self) -> Option<File> {
        let path = format!("/proc/self/fd/{}", self.handle.as_raw_fd());
        Some(openat(CWD, path, READ, Mode::empty()).ok()?.into())
    }
}
