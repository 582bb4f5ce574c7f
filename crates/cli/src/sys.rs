//! How the allocator of the C library deals with large buffers.

#![allow(unsafe_code, reason = "only the C library can be told")]

/// Bytes from which on an allocation is mapped by itself, and given back when it is freed. Batches of frames are longer.
#[cfg(target_env = "gnu")]
const MAPPED_LEN_MIN: libc::c_int = 1 << 20;

/// Keeps freed buffers from staying in the heap of each thread, where others cannot use them: glibc otherwise raises that
/// bound with every buffer that is freed (mallopt(3)).
pub(crate) fn give_large_buffers_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes numbers only, and no other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_LEN_MIN);
        libc::mallopt(libc::M_TRIM_THRESHOLD, MAPPED_LEN_MIN);
    }
}
