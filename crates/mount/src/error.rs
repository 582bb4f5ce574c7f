//! What can go wrong with a mount, and what a caller can do about it.

use std::io;
use std::path::{Path, PathBuf};

use chunked::Class;

/// A failure to mount, to serve or to unmount.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system failed.
    #[error("cannot {action} {}", show(path))]
    File {
        /// What was tried: `create`, `read`, `mount` ...
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A tree cannot be written as EROFS.
    #[error(transparent)]
    Erofs(#[from] crate::erofs::Invalid),
}

impl Error {
    /// Says what the failure means to the caller.
    pub fn class(&self) -> Class {
        match self {
            Self::File { .. } => Class::Local,
            Self::Store(error) => error.class(),
            Self::Erofs(invalid) => invalid.class(),
        }
    }
}

/// Makes an error of the operating system one that says what was tried on what.
#[allow(dead_code)] // Until the first module uses it.
pub(crate) fn at_path<E: Into<io::Error>>(
    action: &'static str,
    path: impl AsRef<Path>,
) -> impl FnOnce(E) -> Error {
    move |source| Error::File { action, path: path.as_ref().to_owned(), source: source.into() }
}

/// Writes a path for messages, shortened and without control characters.
pub(crate) fn show(path: &Path) -> String {
    format!("`{}`", shorten(&path.to_string_lossy()))
}

/// Keeps hostile strings out of error messages: at most 200 characters, control characters replaced.
pub(crate) fn shorten(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
