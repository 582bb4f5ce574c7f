//! Trees the kernel can read before their data is here: images mounted from a store.

pub mod erofs;
pub mod error;

pub use error::Error;
