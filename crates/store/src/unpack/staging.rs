//! A directory being made, which gets its name only when it is complete.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxAttributes, StatxFlags, chmod, fstat, openat, openat2,
    removexattr, statx, syncfs, unlinkat,
};
use rustix::io::Errno;
use tempfile::TempDir;

use super::Refused;
use super::metadata::Newborn;
use crate::error::{Error, at_path};
use crate::tree::Tree;

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
    is_published: bool,
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
            .map_err(at_path("create a directory in", parent))?;
        let (root, newborn) = prepare(unfinished.path()).map_err(at_path("create", dir))?;
        Ok(Self { unfinished, root, target, is_published: false, newborn })
    }

    /// Opens a directory in it for use.
    pub(super) fn open(&self, path: &[&str]) -> io::Result<OwnedFd> {
        self.open_as(path, DIRECTORY | OFlags::RDONLY)
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
    pub(super) fn publish(&mut self, sync: bool) -> Result<(), Error> {
        if sync {
            syncfs(&self.root).map_err(at_path("sync", &self.target))?;
        }
        match fs::rename(self.unfinished.path(), &self.target) {
            Ok(()) => self.unfinished.disable_cleanup(true),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                return Err(Refused::NotEmpty(self.target.clone()).into());
            }
            Err(error) => return Err(at_path("rename a directory to", &self.target)(error)),
        }
        self.is_published = true;
        match (sync, self.target.parent()) {
            (true, Some(parent)) => {
                let directory = fs::File::open(parent).map_err(at_path("open", parent))?;
                directory.sync_all().map_err(at_path("sync", parent))
            }
            _ => Ok(()),
        }
    }

    /// Gives the directories of an unfinished tree back to us, so that they can be removed.
    pub(super) fn open_up(&self, tree: &Tree) {
        let directories = tree.nodes().filter(|(_, node)| !self.is_published && node.kind.is_directory());
        for (id, _) in directories {
            // What is not there needs no permission, and why the tree is given up has been said.
            if let Ok(directory) = self.open_as(&tree.path(id), DIRECTORY | OFlags::PATH) {
                // A handle that needs no permission has no modes to set, its path has.
                let _ = chmod(format!("/proc/self/fd/{}", directory.as_raw_fd()), Mode::RWXU);
            }
        }
    }
}

/// Finds out where the directory will be, and whether it can.
fn target(dir: &Path) -> Result<PathBuf, Error> {
    let there = match fs::metadata(dir) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return new_target(dir),
        Err(error) => return Err(at_path("examine", dir)(error)),
    };
    if !there.is_dir() {
        return Err(Refused::NotADirectory(dir.to_owned()).into());
    }
    let mut entries = fs::read_dir(dir).map_err(at_path("list", dir))?;
    if entries.next().is_some() {
        return Err(Refused::NotEmpty(dir.to_owned()).into());
    }
    let target = dir.canonicalize().map_err(at_path("examine", dir))?;
    if is_mount_point(&target).map_err(at_path("examine", dir))? {
        return Err(Refused::MountPoint(dir.to_owned()).into());
    }
    Ok(target)
}

/// Tells whether something is mounted there, as far as Linux says so: since 5.8.
fn is_mount_point(dir: &Path) -> io::Result<bool> {
    let found = statx(CWD, dir, AtFlags::empty(), StatxFlags::empty())?;
    Ok(found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

fn new_target(dir: &Path) -> Result<PathBuf, Error> {
    let no_name = || Refused::NoName(dir.to_owned());
    let name = dir.file_name().ok_or_else(no_name)?;
    if dir.symlink_metadata().is_ok() {
        // A link that leads nowhere.
        return Err(Refused::NotADirectory(dir.to_owned()).into());
    }
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent = parent.canonicalize().map_err(at_path("open", parent))?;
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
