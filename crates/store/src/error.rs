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
    /// Layers do not make a tree.
    #[error(transparent)]
    Tree(#[from] crate::tree::Invalid),
    /// A tree cannot be unpacked as asked.
    #[error(transparent)]
    Refused(#[from] crate::unpack::Refused),
    /// A thread ended without a result; only a defect of this program does that.
    #[error("a worker ended without a result")]
    WorkerLost,
}

impl Error {
    /// Says what the failure means to the caller.
    pub fn class(&self) -> Class {
        match self {
            Self::File { .. } | Self::WorkerLost => Class::Local,
            Self::Tree(invalid) => invalid.class(),
            Self::Refused(refused) => refused.class(),
        }
    }
}
