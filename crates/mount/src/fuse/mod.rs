//! A directory of the contents that are not here yet, served over `/dev/fuse`.
//!
//! Its files are named like objects, `aa/<62 hex>`, and it has a name for every content of every layer that is served, here or
//! not: which of them are missing shows when they are read. An overlay has it as its last data layer.
//!
//! Why it is not built on one of the libraries for FUSE: the next process has to take over a connection that is in use,
//! without a handshake, and ask for the requests that were on their way.
//!
//! What the kernel is told: names and attributes hold for ever, and opening a file asks nobody (`ENOSYS` to `OPEN`), which
//! makes a second open of a file ten times as fast and leaves room for two overlays on top. No name ever goes away, because
//! an overlay would answer `ESTALE` from then on. That something cannot be fetched is an error of reading, never of looking
//! up.

mod device;
mod node;
mod parked;
mod session;
mod sys;
pub mod wire;

pub use device::{Device, mount};
pub use session::{Devices, Options, Session};
