//! An overlay of metadata and content: what an image looks like when it is mounted.
//!
//! ```text
//!   what is seen     overlay ──────────────┐  upper and work directory, if it is writable
//!   names, modes     metadata image or tree┘  refers to content by its digest
//!   content          objects :: directory that serves what is missing
//! ```
//!
//! The lower layers of content are *data-only*: nothing in them is seen but what the metadata refers to. All is put
//! together before it is attached anywhere, and then [checked](Checked): a file whose reference the kernel does not
//! follow would read as zeros.
//!
//! Kernels differ in how they take layers and in what they follow, so [`Way`]s are tried, the best first:
//!
//! | since | what |
//! |---|---|
//! | 6.5 | data-only layers, as `lowerdir=a::b` |
//! | 6.8 | `lowerdir+` and `datadir+`, one path each |
//! | 6.12 | EROFS from a file, without a loop device |
//! | 6.13 | layers by descriptor; 6.15, by one that is attached nowhere |
//! | 6.16 | references are followed without `metacopy=on`, and in user namespaces |

mod check;
mod context;
mod image;
mod loop_device;
mod sys;
mod way;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::CWD;
use rustix::mount::{MountAttrFlags, MoveMountFlags, move_mount};

pub use check::{Checked, Wrong};
pub use image::{Backing, MountedImage};
pub use way::{Naming, Way};

use crate::erofs::Form;
use crate::error::{Error, at_path};
use context::Context;
use way::Scaffold;

const KIND: &str = "overlay";

/// What an overlay is made of.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// The root of the metadata.
    pub metadata: Root<'a>,
    /// The attributes by which it refers to content.
    pub form: Form,
    /// Directories of content, the first that has something wins. The first is that of the store's objects, from which
    /// content for the check is taken.
    pub data: &'a [DataDirectory<'a>],
    /// Where changes go; `None` for a mount that is read-only.
    pub writable: Option<Writable<'a>>,
    /// A directory for mount points that exist for a moment, where kernels need paths.
    pub scratch: &'a Path,
    /// What the mount says it is a mount of.
    pub source: &'a str,
}

/// The root of metadata.
#[derive(Debug, Clone, Copy)]
pub enum Root<'a> {
    /// A mount that is attached nowhere. It cannot be used twice: kernels that need a path for it attach it for a moment.
    Detached(BorrowedFd<'a>),
    /// A directory, and its path.
    Directory(BorrowedFd<'a>, &'a Path),
}

impl AsFd for Root<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Detached(fd) | Self::Directory(fd, _) => fd.as_fd(),
        }
    }
}

/// A directory of content: files named `aa/<62 hex>`.
#[derive(Debug, Clone, Copy)]
pub struct DataDirectory<'a> {
    /// The directory, open for reading.
    pub fd: BorrowedFd<'a>,
    /// Its path, for kernels that need one.
    pub path: &'a Path,
}

/// Where changes go. Both are on one file system that overlayfs can write to.
#[derive(Debug, Clone, Copy)]
pub struct Writable<'a> {
    /// Directory of what was changed.
    pub upper: &'a Path,
    /// Empty directory for work in progress.
    pub work: &'a Path,
}

/// An overlay that is attached nowhere yet. Dropped, it is gone.
#[derive(Debug)]
pub struct Overlay {
    mount: OwnedFd,
    way: Way,
    checked: Checked,
}

/// Tells whether overlays can be mounted at all.
///
/// # Errors
/// [`Error::Kernel`] when not: for want of rights, or of overlayfs.
pub fn permit() -> Result<(), Error> {
    Context::open(KIND).map(drop)
}

/// Tells whether another overlay can lie on the one at `lower`, as that of a container does: kernels stack two file systems,
/// and some count EROFS as one. `other` is any directory.
///
/// # Errors
/// [`Error::Kernel`] when not.
pub fn permit_on(lower: &Path, other: &Path) -> Result<(), Error> {
    let context = Context::open(KIND)?;
    context.set("lowerdir", way::in_one_string([lower, other]))?;
    context.set_flag("ro")?;
    context.mount(MountAttrFlags::empty()).map(drop)
}

impl Overlay {
    /// Puts an overlay together in the first way that works, and checks it.
    ///
    /// # Errors
    /// [`Error::NoWay`] when none works.
    pub fn assemble(parts: &Parts<'_>) -> Result<Self, Error> {
        let (mut attempts, mut scaffold) = (Vec::new(), Scaffold::default());
        for way in Way::all(parts.form) {
            match Self::try_way(parts, way, &mut scaffold) {
                Ok(overlay) => return Ok(overlay),
                Err(error) => attempts.push((way, error)),
            }
        }
        Err(Error::NoWay { attempts })
    }

    /// Puts an overlay together in one way, and checks it.
    ///
    /// # Errors
    /// [`Error::Kernel`] when the kernel refuses; [`Error::Wrong`] when the check fails.
    pub fn assemble_by(parts: &Parts<'_>, way: Way) -> Result<Self, Error> {
        Self::try_way(parts, way, &mut Scaffold::default())
    }

    fn try_way(parts: &Parts<'_>, way: Way, scaffold: &mut Scaffold) -> Result<Self, Error> {
        let context = Context::open(KIND)?;
        context.set("source", parts.source)?;
        way.set_layers(&context, parts, scaffold)?;
        match &parts.writable {
            Some(writable) => {
                context.set("upperdir", writable.upper)?;
                context.set("workdir", writable.work)?;
            }
            None => context.set_flag("ro")?,
        }
        if parts.form == Form::User {
            context.set_flag("userxattr")?;
        }
        if way.metacopy {
            context.set("metacopy", "on")?;
            context.set("redirect_dir", "on")?;
        }
        let mount = context.mount(MountAttrFlags::empty())?;
        let checked = check::check(parts, mount.as_fd())?;
        Ok(Self { mount, way, checked })
    }

    /// Says in which way it was put together.
    pub fn way(&self) -> Way {
        self.way
    }

    /// Says how much of it could be checked.
    pub fn checked(&self) -> Checked {
        self.checked
    }

    /// Attaches it to a directory. It stays until it is unmounted there.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn attach(&self, directory: &Path) -> Result<(), Error> {
        move_mount(&self.mount, "", CWD, directory, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .map_err(at_path("mount something on", directory))
    }
}

impl AsFd for Overlay {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.mount.as_fd()
    }
}
