//! Container engines, each with storage of its own below a directory of the test.

mod containerd;
mod podman;

pub use containerd::Containerd;
pub use podman::{Podman, Pull};
