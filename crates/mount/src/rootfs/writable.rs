//! Where changes to a mount go.

use std::fs;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatxFlags, Timespec, Timestamps, UTIME_OMIT, statx, utimensat};

use crate::error::{Error, at_path};
use crate::overlay::Writable;

/// The directories that overlayfs wants, below the one that was asked for.
#[derive(Debug)]
pub(super) struct Upper {
    upper: PathBuf,
    work: PathBuf,
}

impl Upper {
    /// Makes what is missing of them. A new upper directory gets mode, owner and time of the image's root, as these are
    /// what the mount's root shows.
    pub(super) fn make(directory: &Path, metadata: BorrowedFd<'_>) -> Result<Self, Error> {
        let made = Self { upper: directory.join("upper"), work: directory.join("work") };
        fs::create_dir_all(&made.work).map_err(at_path("create", &made.work))?;
        if !made.upper.exists() {
            fs::create_dir(&made.upper).map_err(at_path("create", &made.upper))?;
            made.copy_root(metadata)?;
        }
        Ok(made)
    }

    fn copy_root(&self, metadata: BorrowedFd<'_>) -> Result<(), Error> {
        let failed = || at_path("set the attributes of", &self.upper);
        let root = statx(metadata, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)
            .map_err(at_path("examine", "/"))?;
        chown(&self.upper, Some(root.stx_uid), Some(root.stx_gid)).map_err(failed())?;
        let mode = u32::from(root.stx_mode) & 0o7777;
        fs::set_permissions(&self.upper, fs::Permissions::from_mode(mode)).map_err(failed())?;
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec {
                tv_sec: root.stx_mtime.tv_sec,
                tv_nsec: root.stx_mtime.tv_nsec.into(),
            },
        };
        utimensat(CWD, &self.upper, &times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| failed()(std::io::Error::from(error)))
    }

    pub(super) fn as_writable(&self) -> Writable<'_> {
        Writable { upper: &self.upper, work: &self.work }
    }
}
