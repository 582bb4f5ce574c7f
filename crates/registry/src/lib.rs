//! Container images by reference: OCI layouts and archives, and converting what they hold.

pub mod error;
pub mod name;
pub mod reference;

pub use error::Error;
pub use name::Name;
pub use reference::{Operand, Reference};
