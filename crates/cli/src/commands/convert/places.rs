//! The files that a conversion reads and writes, which must differ.

use std::path::Path;

use registry::Reference;

use crate::output::is_same_file;
use crate::request::{ConvertImage, ConvertLayer, Invalid, LayerPlace};

/// The files of one conversion; `None` is a stream or a directory.
#[derive(Debug)]
pub(super) struct Places<'a> {
    source: Option<&'a Path>,
    destination: Option<&'a Path>,
    descriptor: Option<&'a Path>,
}

impl<'a> Places<'a> {
    pub(super) fn of_layer(request: &'a ConvertLayer) -> Self {
        Self {
            source: layer_file(&request.source),
            destination: layer_file(&request.destination),
            descriptor: request.descriptor.as_deref(),
        }
    }

    pub(super) fn of_image(request: &'a ConvertImage) -> Self {
        Self {
            source: archive(&request.source),
            destination: archive(&request.destination),
            descriptor: request.descriptor.as_deref(),
        }
    }

    /// Checks that nothing is written where something else is read or written.
    pub(super) fn check(&self) -> Result<(), Invalid> {
        let Self { source, destination, descriptor } = *self;
        let clash = clash(source, destination)
            .map(Invalid::SameFile)
            .or_else(|| clash(destination, descriptor).map(Invalid::DescriptorIsDestination))
            .or_else(|| clash(source, descriptor).map(Invalid::DescriptorIsSource));
        clash.map_or(Ok(()), Err)
    }
}

/// Names the second of two files that are one.
fn clash(one: Option<&Path>, other: Option<&Path>) -> Option<String> {
    let (one, other) = (one?, other?);
    is_same_file(one, other).then(|| other.display().to_string())
}

fn layer_file(place: &LayerPlace) -> Option<&Path> {
    match place {
        LayerPlace::Stream => None,
        LayerPlace::File(path) => Some(path),
    }
}

fn archive(reference: &Reference) -> Option<&Path> {
    match reference {
        Reference::OciArchive { file, .. } | Reference::DockerArchive { file, .. } => Some(file),
        Reference::OciLayout { .. } | Reference::Registry(_) => None,
    }
}
