//! Container images by reference: OCI layouts and archives, and converting what they hold.

pub mod archive;
pub mod blob;
pub mod convert;
pub mod descriptor;
mod directory;
pub mod error;
pub mod image;
mod layout;
pub mod media_type;
pub mod name;
pub mod platform;
pub mod reference;
pub mod sink;
pub mod source;
mod staged;
pub mod transport;

pub use descriptor::Descriptor;
pub use error::Error;
pub use image::{Config, Document, Exact, Index, Manifest};
pub use media_type::MediaType;
pub use name::Name;
pub use platform::Platform;
pub use reference::{Operand, Reference};
pub use sink::ImageSink;
pub use source::ImageSource;
