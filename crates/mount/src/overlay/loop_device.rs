//! A loop device: a file as a block device, loop(4).

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::sys;
use crate::error::{Error, at_path};

const CONTROL: &str = "/dev/loop-control";

/// Times to look for a free device that others may take meanwhile.
const TRIES: usize = 16;

/// A read-only loop device. It goes away when it is not mounted and this is dropped.
#[derive(Debug)]
pub(super) struct LoopDevice {
    path: PathBuf,
    _device: File,
}

impl LoopDevice {
    /// Makes a device of a file.
    pub(super) fn of(image: &File) -> Result<Self, Error> {
        let control = File::options().read(true).write(true).open(CONTROL);
        let control = control.map_err(at_path("open", CONTROL))?;
        let mut tries = 0;
        loop {
            let number =
                sys::free_loop_device(&control).map_err(at_path("find a free device with", CONTROL))?;
            let path = PathBuf::from(format!("/dev/loop{number}"));
            let device = File::open(&path).map_err(at_path("open", &path))?;
            match sys::configure_loop_device(&device, image) {
                Ok(()) => return Ok(Self { path, _device: device }),
                Err(Errno::BUSY) if tries < TRIES => tries += 1,
                Err(error) => return Err(at_path("set up", &path)(error)),
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}
