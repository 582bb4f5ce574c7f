//! Asks where the bytes of a file are on the disk.

#![allow(unsafe_code, reason = "rustix has no FIEMAP")]

use std::fs::File;

use rustix::io::Errno;
use rustix::ioctl::{self, Updater, opcode};

/// Extents that are asked for at once.
const EXTENTS: usize = 64;
/// The extent is the last of the file (`FIEMAP_EXTENT_LAST`).
const LAST: u32 = 1;
/// Another file has the extent, too (`FIEMAP_EXTENT_SHARED`).
const SHARED: u32 = 0x2000;

/// `struct fiemap` of linux/fiemap.h, without its extents.
#[repr(C)]
#[derive(Default)]
struct Head {
    start: u64,
    len: u64,
    flags: u32,
    mapped_extents: u32,
    extent_count: u32,
    reserved: u32,
}

/// `struct fiemap_extent` of linux/fiemap.h.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Extent {
    logical: u64,
    physical: u64,
    len: u64,
    reserved_64: [u64; 2],
    flags: u32,
    reserved: [u32; 3],
}

#[repr(C)]
struct Map {
    head: Head,
    extents: [Extent; EXTENTS],
}

/// Counts the bytes of a file whose place on the disk is that of bytes of other files as well.
///
/// # Errors
/// `OPNOTSUPP` where the file system cannot tell, and those of the disk.
pub(super) fn shared_len(file: &File) -> Result<u64, Errno> {
    let (mut start, mut shared) = (0, 0_u64);
    loop {
        let head = Head { start, len: u64::MAX - start, extent_count: EXTENTS as u32, ..Head::default() };
        let mut map = Map { head, extents: [Extent::default(); EXTENTS] };
        // SAFETY: the opcode is that of `FS_IOC_FIEMAP`, which takes a `struct fiemap` and fills in as many extents behind
        // it as `extent_count` says; there is room for as many.
        unsafe {
            ioctl::ioctl(file, Updater::<{ opcode::read_write::<Head>(b'f', 11) }, Map>::new(&mut map))?;
        }
        let mut extents = map.extents.iter().take(map.head.mapped_extents as usize);
        let is_shared = |extent: &&Extent| extent.flags & SHARED != 0;
        shared = extents.clone().filter(is_shared).fold(shared, |sum, extent| sum.saturating_add(extent.len));
        match extents.next_back() {
            Some(last) if last.flags & LAST == 0 && last.logical >= start && last.len > 0 => {
                start = last.logical.saturating_add(last.len);
            }
            _ => return Ok(shared),
        }
    }
}
