//! A metadata image, mounted where nobody sees it.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use serde::Serialize;

use super::context::Context;
use super::loop_device::LoopDevice;
use crate::error::Error;

/// A metadata image that is mounted and attached nowhere.
#[derive(Debug)]
pub struct MountedImage {
    mount: OwnedFd,
    backing: Backing,
}

/// What the kernel reads an image from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backing {
    /// The file itself.
    File,
    /// A loop device, before Linux 6.12 and on file systems that EROFS does not read from.
    LoopDevice,
}

impl MountedImage {
    /// Mounts an image of [`crate::erofs`], from its file if the kernel can, otherwise through a loop device.
    ///
    /// # Errors
    /// [`Error::Kernel`]: EROFS is missing, or not permitted.
    pub fn mount(image: &File) -> Result<Self, Error> {
        match Self::mount_by(image, Backing::File) {
            Err(Error::Kernel { source, .. }) if needs_device(source.raw_os_error()) => {
                Self::mount_by(image, Backing::LoopDevice)
            }
            mounted => mounted,
        }
    }

    /// Mounts an image in one way.
    ///
    /// # Errors
    /// Those of [`MountedImage::mount`].
    pub fn mount_by(image: &File, backing: Backing) -> Result<Self, Error> {
        let context = Context::open("erofs")?;
        // It must be there until the kernel has it.
        let device = match backing {
            Backing::File => None,
            Backing::LoopDevice => Some(LoopDevice::of(image)?),
        };
        match &device {
            None => context.set("source", format!("/proc/self/fd/{}", image.as_raw_fd()))?,
            Some(device) => context.set("source", device.path())?,
        }
        context.set_flag("ro")?;
        let mount = context.mount(MountAttrFlags::MOUNT_ATTR_RDONLY)?;
        Ok(Self { mount, backing })
    }

    /// Says what the kernel reads it from.
    pub fn backing(&self) -> Backing {
        self.backing
    }
}

impl AsFd for MountedImage {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.mount.as_fd()
    }
}

/// Tells whether an error says that the kernel wants a block device: before 6.12, or for the backing file system.
fn needs_device(error: Option<i32>) -> bool {
    [Errno::NOTBLK, Errno::LOOP, Errno::INVAL].iter().any(|errno| error == Some(errno.raw_os_error()))
}
