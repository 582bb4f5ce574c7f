//! Images, mounts and what is served: checked by other readers, and by the kernel.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that meets the unexpected has failed")]

mod erofs;
mod erofs_reader;
mod fetcher;
mod fuzz;
mod lazy;
mod overlay;
mod trees;
