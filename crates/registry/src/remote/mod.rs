//! Images in registries.

mod blob;
mod image;

pub(crate) use blob::{RemoteBlob, header_value};
pub(crate) use image::RemoteImage;
