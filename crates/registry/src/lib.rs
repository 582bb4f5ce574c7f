//! Container images by reference: OCI layouts and archives, and converting what they hold.

pub mod descriptor;
pub mod error;
pub mod image;
pub mod media_type;
pub mod name;
pub mod platform;
pub mod reference;

pub use descriptor::Descriptor;
pub use error::Error;
pub use image::{Config, Document, Exact, Index, Manifest};
pub use media_type::MediaType;
pub use name::Name;
pub use platform::Platform;
pub use reference::{Operand, Reference};
