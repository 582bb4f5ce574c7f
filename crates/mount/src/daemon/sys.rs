//! What needs `unsafe`: taking descriptors that were passed by number.

#![allow(unsafe_code)]

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// The first descriptor that systemd passes (`SD_LISTEN_FDS_START`).
const FIRST: RawFd = 3;

/// Takes `count` descriptors that were passed when the program was started. To be called once, at the start.
pub(super) fn inherited(count: usize) -> Vec<OwnedFd> {
    let count = RawFd::try_from(count).unwrap_or(0);
    let fds = (FIRST..FIRST.saturating_add(count)).filter(|fd| is_open(*fd));
    // SAFETY: they are open, and whoever started us passed them for us to own: nothing else in the process knows them.
    fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect()
}

fn is_open(fd: RawFd) -> bool {
    std::fs::exists(format!("/proc/self/fd/{fd}")).unwrap_or(false)
}
