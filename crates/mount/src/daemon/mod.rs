//! The process that serves what is missing of a store's images, for as long as something is.
//!
//! It knows what to serve from files in the store, so it can end at any time and another one goes on: after a reboot, or
//! because it was killed. The connection to the kernel outlives it when somebody [keeps](keep) it: systemd, or a
//! [keeper] that does nothing else. Then readers wait for the next daemon, and nothing else happens to them.
//!
//! | path in the store | what |
//! |---|---|
//! | `lazy/<hex of the manifest's digest>` | an [`Attachment`]: an image that is served |
//! | `tables/<hex of the TOC digest>` | a [table](crate::contents) |
//! | `quarantine/<hex of the TOC digest>-<hex of the diff ID>` | see [`quarantine`](crate::quarantine) |
//! | `profiles/<hex of the manifest's digest>` | a [profile](crate::profile) |
//! | `run/objects` | where the directory of contents is mounted |
//! | `run/daemon.sock` | the socket that verbs speak to the daemon by |
//! | `run/nodes` | the TOC digests of the tables, in the order of their numbers |
//! | `run/lock` | held by the daemon, or by its keeper |

mod attachments;
mod client;
mod guests;
pub mod keep;
pub mod keeper;
mod layers;
mod metrics;
mod nodes;
pub mod protocol;
mod room;
mod run;
mod serve;
mod served;
mod server;
mod service;
mod sys;

pub use attachments::Attachment;
pub use client::Client;
pub use layers::{ServedLayers, forget};
pub use room::Room;
pub use run::RunDirectory;
pub use serve::{Ended, Options, serve};
