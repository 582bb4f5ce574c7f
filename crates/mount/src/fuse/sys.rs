//! What needs `unsafe`: one ioctl.

#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io;
use rustix::ioctl::{Setter, ioctl, opcode};

/// `FUSE_DEV_IOC_CLONE` of `linux/fuse.h`.
const CLONE: rustix::ioctl::Opcode = opcode::read::<u32>(229, 0);

/// Makes `fresh`, a `/dev/fuse` that was just opened, another way to the connection of `device`.
pub(super) fn clone(fresh: BorrowedFd<'_>, device: BorrowedFd<'_>) -> io::Result<()> {
    let number = device.as_raw_fd().cast_unsigned();
    // SAFETY: the kernel reads the u32 that it is given the address of, and nothing else.
    unsafe { ioctl(fresh, Setter::<CLONE, u32>::new(number)) }
}
