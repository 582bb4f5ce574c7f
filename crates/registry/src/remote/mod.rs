//! Images in registries.

mod blob;
mod image;

pub(crate) use image::RemoteImage;
