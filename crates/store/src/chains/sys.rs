//! Asks whether anybody has a file open.

#![allow(unsafe_code, reason = "rustix has no leases")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// asm-generic/fcntl.h
const F_SETSIG: libc::c_int = 10;

/// Tells whether a file is open by anything but `file`: by any process, by a mount whose image it is, by a loop device.
///
/// The kernel gives a lease for writing, fcntl(2), to the only one who has a file open.
///
/// # Errors
/// Where there are no leases, or the file belongs to somebody else.
pub(super) fn is_open_elsewhere(file: &File) -> io::Result<bool> {
    let fd = file.as_raw_fd();
    // Somebody who opens the file while we have the lease makes the kernel send a signal: one that does nothing.
    // SAFETY: both calls take numbers only, and `fd` is open.
    let taken = unsafe {
        libc::fcntl(fd, F_SETSIG, libc::SIGURG);
        libc::fcntl(fd, libc::F_SETLEASE, libc::F_WRLCK)
    };
    if taken == 0 {
        // SAFETY: as above.
        unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_UNLCK) };
        return Ok(false);
    }
    match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        error => Err(error),
    }
}
