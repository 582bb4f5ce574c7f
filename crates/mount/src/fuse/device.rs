//! `/dev/fuse`: a connection to the kernel.

use std::ffi::CString;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags, fcntl_setfl};
use rustix::io::{Errno, retry_on_intr};
use rustix::mount::MountFlags;

use super::{sys, wire};
use crate::error::{Error, at_path};

const PATH: &str = "/dev/fuse";

/// Bytes to read a request into: the least the kernel takes is 8 KiB (`FUSE_MIN_READ_BUFFER`).
pub(super) const BUFFER_LEN: usize = 16 << 10;
/// Most bytes of a file in one request: what the kernel allows unless told otherwise (`fs.fuse.max_pages_limit`).
pub(super) const READ_LEN_MAX: u32 = 1 << 20;

/// One of the ways to a connection. An answer goes the way that its request came.
#[derive(Debug)]
pub struct Device(OwnedFd);

impl Device {
    /// Opens a connection, to be mounted.
    ///
    /// # Errors
    /// [`Error::File`] when there is no FUSE, or no right to use it.
    pub fn open() -> Result<Self, Error> {
        rustix::fs::open(PATH, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .map(Self)
            .map_err(at_path("open", PATH))
    }

    /// Takes over a connection that somebody else opened.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Opens another way to a connection that is mounted.
    ///
    /// # Errors
    /// [`Error::File`] when that is not possible.
    pub fn another(&self) -> Result<Self, Error> {
        let fresh = Self::open()?;
        sys::clone(fresh.as_fd(), self.as_fd()).map_err(at_path("clone", PATH))?;
        Ok(fresh)
    }

    /// Waits for a request; `None` once the file system is unmounted, or `stop` can be read from.
    pub(super) fn receive<'b>(
        &self,
        buffer: &'b mut [u8],
        stop: BorrowedFd<'_>,
    ) -> Result<Option<&'b [u8]>, Errno> {
        loop {
            match rustix::io::read(&self.0, &mut *buffer) {
                Ok(len) => return Ok(buffer.get(..len)),
                // The request was given up before it was read.
                Err(Errno::NOENT | Errno::INTR) => {}
                Err(Errno::AGAIN) if !self.wait(stop)? => return Ok(None),
                Err(Errno::AGAIN) => {}
                Err(Errno::NODEV) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until there may be a request; `false` when there is something to read from `stop`.
    fn wait(&self, stop: BorrowedFd<'_>) -> Result<bool, Errno> {
        let mut ready = [
            PollFd::from_borrowed_fd(self.0.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(stop, PollFlags::IN),
        ];
        retry_on_intr(|| poll(&mut ready, None))?;
        let [_, stop] = ready;
        Ok(stop.revents().is_empty())
    }

    /// Lets several threads wait for requests and something else at once.
    pub(super) fn set_nonblocking(&self) -> Result<(), Errno> {
        fcntl_setfl(&self.0, OFlags::RDWR | OFlags::NONBLOCK)
    }

    /// Answers a request. Nobody may wait for the answer any more.
    pub(super) fn answer(&self, unique: u64, body: &[u8]) {
        let header = wire::header(unique, body.len());
        // An error means that the request was given up, or the file system unmounted.
        let _ = rustix::io::writev(&self.0, &[IoSlice::new(&header), IoSlice::new(body)]);
    }

    /// Answers a request with an error.
    pub(super) fn refuse(&self, unique: u64, errno: Errno) {
        let _ = rustix::io::write(&self.0, &wire::error(unique, errno));
    }

    /// Asks for all requests that were read and not answered.
    pub(super) fn ask_again(&self) -> Result<(), Errno> {
        rustix::io::write(&self.0, &wire::resend()).map(drop)
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Mounts the connection on a directory. It answers once a session runs.
///
/// # Errors
/// [`Error::File`] when the kernel refuses.
pub fn mount(device: &Device, directory: &Path) -> Result<(), Error> {
    let failed = || at_path("mount", directory);
    let number = device.as_fd().as_raw_fd();
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let options = format!(
        "fd={number},rootmode=40000,user_id={uid},group_id={gid},allow_other,max_read={READ_LEN_MAX}"
    );
    let options = CString::new(options).map_err(|_| failed()(Errno::INVAL))?;
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOATIME;
    rustix::mount::mount("morsel", directory, "fuse.morsel", flags, Some(options.as_c_str()))
        .map_err(failed())
}
