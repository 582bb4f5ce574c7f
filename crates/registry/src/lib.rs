//! Container images by reference: registries, OCI layouts and archives, and converting and mirroring what they hold.
//!
//! A [`Reference`] names an image, [`transport`] opens it as an [`ImageSource`] or starts it as an [`ImageSink`], and what
//! lies between them is bytes under digests: [`Document`]s kept exactly as they came, and blobs.
//!
//! ```no_run
//! use morsel_registry::convert::{self, NoProgress, Options};
//! use morsel_registry::client::{self, Registries};
//! use morsel_registry::transport::{self, Access};
//!
//! # fn main() -> Result<(), morsel_registry::Error> {
//! let registries = Registries::new(client::Options::default());
//! let access = Access { scratch: "/var/tmp".into(), registries };
//! let source = transport::open(&"docker-archive:app.tar".parse()?, &access)?;
//! let sink = transport::create(&"oci:images:app".parse()?, &access)?;
//! let report = convert::convert(&*source, sink, &Options::default(), &NoProgress)?;
//! assert_eq!(report.manifests.len(), 1);
//! # Ok(())
//! # }
//! ```

pub mod archive;
pub mod auth;
pub mod blob;
pub mod byteranges;
pub mod challenge;
pub mod client;
pub mod config;
pub mod convert;
mod copy;
pub mod descriptor;
pub mod directory;
pub mod error;
pub mod hosts;
pub mod http;
pub mod image;
pub mod instances;
pub mod layout;
pub mod media_type;
pub mod mirror;
pub mod name;
pub mod platform;
pub mod probe;
pub mod reference;
mod remote;
pub mod replacement;
pub mod selection;
pub mod sink;
pub mod source;
pub mod staged;
pub mod transport;
pub mod tree;

pub use descriptor::Descriptor;
pub use error::Error;
pub use hosts::Hosts;
pub use image::{Config, Document, Exact, Index, Manifest};
pub use instances::{Instance, Instances};
pub use media_type::MediaType;
pub use name::Name;
pub use platform::Platform;
pub use reference::{Operand, Reference};
pub use replacement::Replacement;
pub use sink::ImageSink;
pub use source::ImageSource;
