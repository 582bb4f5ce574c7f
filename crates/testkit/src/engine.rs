//! Container engines, each with storage of its own below a directory of the test.

mod containerd;
mod machine;
mod podman;

pub use containerd::Containerd;
pub use machine::Machine;
pub use podman::{Podman, Pull};
