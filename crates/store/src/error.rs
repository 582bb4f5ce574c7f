//! What can go wrong with a store.

use std::io;
use std::path::PathBuf;

use chunked::Class;

/// A failure of a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system failed.
    #[error("cannot {action} `{}`", path.display())]
    File {
        /// What was tried: `create`, `read`, `rename` ...
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl Error {
    /// Says what the failure means to the caller.
    pub fn class(&self) -> Class {
        match self {
            Self::File { .. } => Class::Local,
        }
    }
}
