//! The calls to the loop driver.

#![allow(unsafe_code, reason = "ioctl(2) takes numbers and pointers")]

use std::ffi::c_void;
use std::fs::File;
use std::os::fd::AsRawFd;

use rustix::io::Errno;
use rustix::ioctl::{self, Ioctl, IoctlOutput, Opcode, Setter};

// linux/loop.h
const LOOP_CTL_GET_FREE: Opcode = 0x4C82;
const LOOP_CONFIGURE: Opcode = 0x4C0A;
const READ_ONLY: u32 = 1;
const GONE_WHEN_UNUSED: u32 = 4;

/// Bytes of a block of the device; what is mounted has larger ones.
const BLOCK_LEN: u32 = 512;

/// `struct loop_config`.
#[repr(C)]
#[derive(Debug)]
struct Config {
    fd: u32,
    block_len: u32,
    info: Info,
    reserved: [u64; 8],
}

/// `struct loop_info64`.
#[repr(C)]
#[derive(Debug)]
struct Info {
    numbers: [u64; 5],
    number: u32,
    encryption: [u32; 2],
    flags: u32,
    names: [[u8; 64]; 2],
    key: [u8; 32],
    init: [u64; 2],
}

/// Returns the number of a loop device that is free.
pub(super) fn free_loop_device(control: &File) -> Result<u32, Errno> {
    // SAFETY: the call takes no argument, and returns a number.
    let number = unsafe { ioctl::ioctl(control, GetFree) }?;
    u32::try_from(number).map_err(|_| Errno::NODEV)
}

/// Makes a loop device show a file, read-only, until nobody uses the device.
pub(super) fn configure_loop_device(device: &File, image: &File) -> Result<(), Errno> {
    let info = Info {
        numbers: [0; 5],
        number: 0,
        encryption: [0; 2],
        flags: READ_ONLY | GONE_WHEN_UNUSED,
        names: [[0; 64]; 2],
        key: [0; 32],
        init: [0; 2],
    };
    let fd = u32::try_from(image.as_raw_fd()).map_err(|_| Errno::BADF)?;
    let config = Config { fd, block_len: BLOCK_LEN, info, reserved: [0; 8] };
    // SAFETY: the structure is that of linux/loop.h, without pointers, and outlives the call.
    unsafe { ioctl::ioctl(device, Setter::<LOOP_CONFIGURE, Config>::new(config)) }
}

/// `LOOP_CTL_GET_FREE`, whose answer is what the call returns.
struct GetFree;

// SAFETY: there is no argument, so nothing is read or written.
unsafe impl Ioctl for GetFree {
    type Output = IoctlOutput;
    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        LOOP_CTL_GET_FREE
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::null_mut()
    }

    unsafe fn output_from_ptr(output: IoctlOutput, _: *mut c_void) -> Result<IoctlOutput, Errno> {
        Ok(output)
    }
}

const _: () = assert!(size_of::<Info>() == 232 && size_of::<Config>() == 304);
