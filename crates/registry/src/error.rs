//! What can go wrong with an image, and what a caller can do about it.

use chunked::Class;

use crate::reference::{self, Reference};

/// A failure to find, read, write or convert an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A reference is malformed.
    #[error(transparent)]
    Reference(#[from] reference::Invalid),
    /// The transport is known, but not built yet.
    #[error("cannot open `{0}`: registries over HTTP are not supported yet; a file is written `./NAME`")]
    Http(Reference),
}

impl Error {
    /// Says what the failure means to the caller.
    pub fn class(&self) -> Class {
        match self {
            Self::Reference(_) | Self::Http(_) => Class::Unsupported,
        }
    }
}

/// Keeps hostile strings out of error messages: at most 100 characters, the rest cut, control characters replaced.
pub(crate) fn shorten(text: &str) -> String {
    text.chars().take(100).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
