//! Owner, attributes, mode and times of one file.
//!
//! In that order: chown(2) takes set-user-ID bits and capabilities away, an access list changes the mode, and everything
//! changes the times of something.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use chunked::Timestamp;
use rustix::fs::{
    AtFlags, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags, chmodat, chownat, fchmod, fchown,
    fsetxattr, futimens, lsetxattr, utimensat,
};
use rustix::io::Errno;

use super::report::Reason;
use crate::tree::{Metadata, Xattr};

/// The attribute in which SELinux keeps labels: the policy of the machine that runs a container says what they are, so
/// podman and umoci leave those of images out.
const SECURITY_LABEL: &str = "security.selinux";

/// What a file has that nobody has said anything about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Newborn {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Permission bits that it does not get, whatever is asked for.
    pub(super) umask: u16,
}

/// Permission bits that setting attributes takes.
pub(super) const ATTRIBUTES: Mode = Mode::RUSR.union(Mode::WUSR);

/// A file to be given metadata.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target<'a> {
    /// An open file or directory.
    Open(BorrowedFd<'a>),
    /// A name in a directory; a symbolic link is not followed.
    Named(BorrowedFd<'a>, &'a str),
    /// The same, of a symbolic link, which has no mode.
    Link(BorrowedFd<'a>, &'a str),
}

/// Permission bits to make a file with: those it will have, and for attributes, which take leave to write, the owner's.
pub(super) fn initial_mode(metadata: &Metadata) -> Mode {
    let own = if metadata.xattrs.is_empty() { Mode::empty() } else { ATTRIBUTES };
    Mode::from_raw_mode(u32::from(metadata.mode & 0o777)) | own
}

impl Target<'_> {
    /// Gives a file that was made with `made` as its mode all its metadata. What has the right value already is left alone.
    ///
    /// `skip` is told which attributes cannot be set.
    pub(super) fn apply(
        self,
        metadata: &Metadata,
        owner: Option<(u32, u32)>,
        newborn: &Newborn,
        made: Mode,
        mut skip: impl FnMut(Reason, &Xattr),
    ) -> io::Result<()> {
        let has_new_owner = owner.is_some_and(|owner| owner != (newborn.uid, newborn.gid));
        if let Some((uid, gid)) = owner.filter(|_| has_new_owner) {
            self.chown(Uid::from_raw(uid), Gid::from_raw(gid))?;
        }
        for xattr in &metadata.xattrs {
            if let Some(reason) = self.set_xattr(xattr)? {
                skip(reason, xattr);
            }
        }
        let has = made.as_raw_mode() & !u32::from(newborn.umask);
        if has != u32::from(metadata.mode) || !metadata.xattrs.is_empty() {
            self.chmod(Mode::from_raw_mode(u32::from(metadata.mode)))?;
        }
        self.set_times(metadata.modified)
    }

    fn chown(self, uid: Uid, gid: Gid) -> io::Result<()> {
        match self {
            Self::Open(fd) => fchown(fd, Some(uid), Some(gid))?,
            Self::Named(directory, name) | Self::Link(directory, name) => {
                chownat(directory, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
            }
        }
        Ok(())
    }

    fn chmod(self, mode: Mode) -> io::Result<()> {
        match self {
            Self::Open(fd) => fchmod(fd, mode)?,
            // Not a link, so there is nothing to follow.
            Self::Named(directory, name) => chmodat(directory, name, mode, AtFlags::empty())?,
            Self::Link(..) => {}
        }
        Ok(())
    }

    fn set_times(self, modified: Timestamp) -> io::Result<()> {
        let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let last_modification =
            Timespec { tv_sec: modified.seconds, tv_nsec: i64::from(modified.nanoseconds) };
        let times = Timestamps { last_access, last_modification };
        match self {
            Self::Open(fd) => futimens(fd, &times)?,
            Self::Named(directory, name) | Self::Link(directory, name) => {
                utimensat(directory, name, &times, AtFlags::SYMLINK_NOFOLLOW)?;
            }
        }
        Ok(())
    }

    /// Sets an attribute, or says why not.
    fn set_xattr(self, xattr: &Xattr) -> io::Result<Option<Reason>> {
        if &*xattr.name == SECURITY_LABEL {
            return Ok(Some(Reason::SecurityLabel));
        }
        let Ok(name) = CString::new(&*xattr.name) else { return Err(Errno::INVAL.into()) };
        let set = match self {
            Self::Open(fd) => fsetxattr(fd, &name, &xattr.value, XattrFlags::empty()),
            // There is no call for a name in a directory before Linux 6.13.
            Self::Named(directory, file) | Self::Link(directory, file) => {
                let path = format!("/proc/self/fd/{}/{file}", directory.as_raw_fd());
                lsetxattr(path, &name, &xattr.value, XattrFlags::empty())
            }
        };
        match set {
            Ok(()) => Ok(None),
            Err(Errno::PERM | Errno::ACCESS) => Ok(Some(Reason::AttributeRefused)),
            Err(Errno::OPNOTSUPP) => Ok(Some(Reason::AttributeNotSupported)),
            Err(error) => Err(error.into()),
        }
    }
}
