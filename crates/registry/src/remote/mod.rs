//! Images in registries.

mod blob;
mod image;
mod sink;
mod upload;

pub(crate) use blob::{RemoteBlob, header_value};
pub(crate) use image::RemoteImage;
pub(crate) use sink::RemoteSink;
