//! A directory being made, which gets its name only when it is complete.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Mode, OFlags, ResolveFlags, fstat, fsync, openat, openat2, removexattr, syncfs, unlinkat,
};
use rustix::io::Errno;
use tempfile::TempDir;

use super::Refused;
use super::metadata::Newborn;
use crate::error::Error;

/// Comes after the name of the directory in that of the unfinished one.
const UNFINISHED: &str = ".morsel-";

/// Bytes of the directory's name that the unfinished one repeats, so that it is no longer than a name can be.
const REPEATED_LEN: usize = 200;

/// Bytes of a path that Linux takes at once, `PATH_MAX` with its NUL.
const PATH_LEN: usize = 4096;

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

const BENEATH: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// The attribute that would give all that is made in a directory an access list.
const DEFAULT_ACL: &str = "system.posix_acl_default";

/// A directory that is not there yet. Dropped, it leaves nothing.
#[derive(Debug)]
pub(super) struct Staging {
    /// Where it is made, open to its owner only.
    unfinished: TempDir,
    root: OwnedFd,
    /// Where it will be.
    target: PathBuf,
    pub(super) newborn: Newborn,
}

impl Staging {
    /// Starts to make what will be `dir`, which must be missing or empty.
    pub(super) fn start(dir: &Path) -> Result<Self, Error> {
        let target = target(dir)?;
        let parent = target.parent().unwrap_or(Path::new("/"));
        let mut prefix = target.file_name().unwrap_or_default().as_bytes().to_vec();
        prefix.truncate(REPEATED_LEN);
        prefix.extend_from_slice(UNFINISHED.as_bytes());
        let unfinished = tempfile::Builder::new()
            .prefix(OsStr::from_bytes(&prefix))
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(parent)
            .map_err(failed("create a directory in", parent))?;
        let (root, newborn) = prepare(unfinished.path()).map_err(failed("create", dir))?;
        Ok(Self { unfinished, root, target, newborn })
    }

    /// Opens a directory in it for use.
    pub(super) fn open(&self, path: &[&str]) -> io::Result<OwnedFd> {
        self.open_as(path, DIRECTORY | OFlags::RDONLY)
    }

    /// Opens a directory in it that we may have no permission for.
    pub(super) fn open_locked(&self, path: &[&str]) -> io::Result<OwnedFd> {
        self.open_as(path, DIRECTORY | OFlags::PATH)
    }

    fn open_as(&self, path: &[&str], flags: OFlags) -> io::Result<OwnedFd> {
        let open = |at: BorrowedFd<'_>, path: &str| openat2(at, path, flags, Mode::empty(), BENEATH);
        let mut directory = None;
        let mut piece = String::new();
        for name in path {
            if piece.len() + name.len() + 2 > PATH_LEN {
                directory = Some(open(directory.as_ref().unwrap_or(&self.root).as_fd(), &piece)?);
                piece.clear();
            }
            piece += if piece.is_empty() { "" } else { "/" };
            piece += name;
        }
        let piece = if piece.is_empty() { "." } else { &piece };
        Ok(open(directory.as_ref().unwrap_or(&self.root).as_fd(), piece)?)
    }

    /// Gives it its name; with `sync`, once it is safe from a power loss.
    pub(super) fn publish(&self, sync: bool) -> Result<(), Error> {
        if sync {
            syncfs(&self.root).map_err(failed("sync", &self.target))?;
        }
        match fs::rename(self.unfinished.path(), &self.target) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                return Err(Refused::NotEmpty(self.target.clone()).into());
            }
            Err(error) => return Err(failed("rename a directory to", &self.target)(error)),
        }
        match (sync, self.target.parent()) {
            (true, Some(parent)) => {
                let directory = fs::File::open(parent).map_err(failed("open", parent))?;
                fsync(directory).map_err(failed("sync", parent))
            }
            _ => Ok(()),
        }
    }
}

/// Finds out where the directory will be, and whether it can.
fn target(dir: &Path) -> Result<PathBuf, Error> {
    let there = match fs::metadata(dir) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return new_target(dir),
        Err(error) => return Err(failed("examine", dir)(error)),
    };
    if !there.is_dir() {
        return Err(Refused::NotADirectory(dir.to_owned()).into());
    }
    let mut entries = fs::read_dir(dir).map_err(failed("list", dir))?;
    if entries.next().is_some() {
        return Err(Refused::NotEmpty(dir.to_owned()).into());
    }
    let target = dir.canonicalize().map_err(failed("examine", dir))?;
    let parent = target.parent().ok_or_else(|| Refused::MountPoint(dir.to_owned()))?;
    let above = fs::metadata(parent).map_err(failed("examine", parent))?;
    if above.dev() != there.dev() {
        return Err(Refused::MountPoint(dir.to_owned()).into());
    }
    Ok(target)
}

fn new_target(dir: &Path) -> Result<PathBuf, Error> {
    let no_name = || Refused::NoName(dir.to_owned());
    let name = dir.file_name().ok_or_else(no_name)?;
    if dir.symlink_metadata().is_ok() {
        // A link that leads nowhere.
        return Err(Refused::NotADirectory(dir.to_owned()).into());
    }
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent = parent.canonicalize().map_err(failed("open", parent))?;
    Ok(parent.join(name))
}

/// Opens a new directory, and finds out what files made in it are like.
fn prepare(path: &Path) -> io::Result<(OwnedFd, Newborn)> {
    match removexattr(path, DEFAULT_ACL) {
        Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
        Err(error) => return Err(error.into()),
    }
    let root = rustix::fs::open(path, DIRECTORY | OFlags::RDONLY, Mode::empty())?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let probe = openat(&root, "probe", flags, Mode::from_raw_mode(0o777))?;
    let stat = fstat(&probe)?;
    unlinkat(&root, "probe", AtFlags::empty())?;
    let umask = !(stat.st_mode as u16) & 0o777;
    Ok((root, Newborn { uid: stat.st_uid, gid: stat.st_gid, umask }))
}

fn failed<E: Into<io::Error>>(action: &'static str, path: &Path) -> impl FnOnce(E) -> Error {
    let path = path.to_owned();
    move |source| Error::File { action, path, source: source.into() }
}
