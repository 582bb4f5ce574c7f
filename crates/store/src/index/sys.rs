//! Files as memory.

#![allow(unsafe_code, reason = "a file that is mapped may change, which only its owner can rule out")]

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use memmap2::{Advice, Mmap};
use rustix::process::geteuid;

/// Maps a run.
///
/// # Errors
/// `PermissionDenied` when someone other than root and ourselves could write to the file.
pub(super) fn map(file: &File) -> io::Result<Mmap> {
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    let metadata = file.metadata()?;
    let is_ours = [0, geteuid().as_raw()].contains(&metadata.uid());
    if !is_ours || metadata.mode() & WRITABLE_BY_OTHERS != 0 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    // SAFETY: nobody changes or truncates the file while it is mapped. It has mode 0400 and was complete before it got its
    // name; this program only replaces and unlinks runs, and only their owner and root, checked above, can do otherwise.
    let map = unsafe { Mmap::map(file)? };
    // Lookups are all over it. It is a hint; a refusal changes nothing.
    let _ = map.advise(Advice::Random);
    Ok(map)
}
