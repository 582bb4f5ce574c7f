//! Images in registries.

mod blob;
mod image;
mod sink;
mod upload;

pub(crate) use image::RemoteImage;
pub(crate) use sink::RemoteSink;
