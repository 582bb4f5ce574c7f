//! What a word on the command line points at.

use std::fmt;
use std::path::PathBuf;

use registry::{Operand, Reference, reference};

use super::Invalid;

/// Where a single layer is. Shown as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LayerPlace {
    /// Standard input or output.
    Stream,
    /// A file.
    File(PathBuf),
}

impl fmt::Display for LayerPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream => f.write_str("-"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// Why a path does not hold a layer, and cannot.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAFile {
    #[error("it is an OCI layout, expected a file with one layer; an image is written `oci:{0}`")]
    Layout(String),
    #[error("it is a directory, expected a file with one layer")]
    Directory,
}

/// What a word on the command line points at.
#[derive(Debug)]
pub(super) enum Place {
    Layer(LayerPlace),
    Image(Reference),
}

pub(super) fn place(text: &str) -> Result<Place, Invalid> {
    let operand = text.parse().map_err(|invalid| match invalid {
        reference::Invalid::Name { text: name, source } if name == text => {
            Invalid::Name { text: name, source }
        }
        other => other.into(),
    })?;
    match operand {
        Operand::Stream => Ok(Place::Layer(LayerPlace::Stream)),
        Operand::File(path) => Ok(Place::Layer(LayerPlace::File(path))),
        Operand::Image(image) => Ok(Place::Image(image)),
    }
}

pub(super) fn image(text: &str) -> Result<Reference, Invalid> {
    match place(text)? {
        Place::Image(reference) => Ok(reference),
        Place::Layer(_) => Err(Invalid::LayerToPull(text.to_owned())),
    }
}
