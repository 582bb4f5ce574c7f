//! Trees the kernel can read before their data is here: images mounted from a store.

pub mod contents;
pub mod daemon;
pub mod erofs;
pub mod error;
pub mod fetch;
mod file;
pub mod fuse;
mod metadata;
mod mountinfo;
pub mod overlay;
pub mod profile;
pub mod quarantine;
pub mod rootfs;
mod userns;

use std::sync::atomic::{AtomicU64, Ordering};

pub use error::Error;

/// Returns a number that nothing else in this process gets.
fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
