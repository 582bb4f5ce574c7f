//! An OCI registry (distribution-spec v1.1) over OCI image layouts on disk.
//!
//! [`Repositories`] says how a directory of layouts is a registry, [`IndexPolicy`] which indexes may be sparse, and
//! [`Server`] answers requests. What was acknowledged is on disk, under its digest; what was not leaves nothing.
//!
//! ```no_run
//! use morsel_server::{Access, IndexPolicy, Options, Serves, Server};
//!
//! # fn main() -> Result<(), morsel_server::Error> {
//! let server = Server::bind(Options {
//!     directory: "images".into(),
//!     listen: ([127, 0, 0, 1], 5000).into(),
//!     index_policy: IndexPolicy::All,
//!     access: Access::ReadWrite,
//!     tls: None,
//!     users: None,
//!     log: None,
//!     serves: Serves::Many,
//! })?;
//! println!("{}", server.address());
//! server.run()
//! # }
//! ```

mod access_log;
mod app;
mod bodies;
mod body;
mod buffers;
pub mod error;
pub mod gc;
mod handlers;
mod patience;
pub mod policy;
mod problem;
pub mod ranges;
mod repositories;
mod repository;
pub mod route;
pub mod scrub;
mod server;
mod tls;
mod uploads;
pub mod users;
mod verified;

pub use access_log::{Exchange, Log};
pub use app::{Access, Serves};
pub use error::Error;
pub use policy::IndexPolicy;
pub use repositories::{Purpose, Repositories};
pub use server::{Options, Server, Stop};
pub use tls::Tls;
