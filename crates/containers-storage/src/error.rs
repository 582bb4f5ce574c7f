//! What can go wrong with storage of engines, and what a caller can do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use chunked::Class;

use crate::record::LayerId;

/// A failure of a storage.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system failed.
    #[error("cannot {action} {}", show(path))]
    File {
        /// What was tried: `create`, `read`, `rename` ...
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A list cannot be read.
    #[error("{} is damaged: {reason}", show(path))]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no additional image store.
    #[error("there is no additional image store at {}", show(path))]
    NoStore {
        /// Where one was looked for.
        path: PathBuf,
    },
    /// A layer cannot be published, so engines have to fetch it themselves.
    #[error("layer {} cannot be published: {reason}", name(id.as_ref()))]
    Unpublishable {
        /// Which; of those above it the same is true. `None` where not even the lowest layer of a chain has a name that is
        /// known to be right.
        id: Option<LayerId>,
        /// Why.
        reason: Unpublishable,
    },
    /// What was made of a layer is not what it should be.
    #[error("layer {id} did not become what it should be: {} is wrong", show(path))]
    Unfaithful {
        /// Which.
        id: LayerId,
        /// Which of its files.
        path: PathBuf,
    },
    /// Whoever asked for layers does not wait for them any more.
    #[error("who asked for the layers does not wait for them any more")]
    Unwanted,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A tree cannot be mounted.
    #[error(transparent)]
    Mount(#[from] mount::Error),
}

/// Why a layer cannot be published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unpublishable {
    /// The digest of its tar was not verified, and engines would take our word for it.
    #[error("its tar is not proven")]
    Unproven,
    /// Another image claims to have it as well, with other content, and nobody has proven either.
    #[error("another image claims to have it, and it is not proven which is right")]
    Claimed,
    /// What there is instead of its tar makes no sense.
    #[error("its tar-split is damaged: {0}")]
    BadTarSplit(String),
    /// Without one nobody can make the tar again, as `podman push` and `podman save` do.
    #[error("it has no tar-split")]
    NoTarSplit,
    /// The chain has more layers than overlayfs can stack.
    #[error("it lies on more than {0} others")]
    TooDeep(usize),
    /// Its entries do not make a tree by themselves.
    #[error("{0}")]
    Tree(String),
}

impl Error {
    /// Says what the failure means to the caller.
    pub fn class(&self) -> Class {
        match self {
            Self::File { .. } => Class::Local,
            Self::Damaged { .. } => Class::Corrupt,
            Self::NoStore { .. } => Class::Missing,
            Self::Unwanted => Class::Transient,
            Self::Unpublishable { .. } => Class::Unsupported,
            Self::Unfaithful { .. } => Class::Local,
            Self::Store(error) => error.class(),
            Self::Mount(error) => error.class(),
        }
    }
}

fn name(id: Option<&LayerId>) -> String {
    id.map_or("0 of a chain".to_owned(), ToString::to_string)
}

/// Makes an error of the operating system one that says what was tried on what.
pub(crate) fn at_path<E: Into<io::Error>>(
    action: &'static str,
    path: impl AsRef<Path>,
) -> impl FnOnce(E) -> Error {
    move |source| Error::File { action, path: path.as_ref().to_owned(), source: source.into() }
}

/// Makes an error of a parser one that names the file.
pub(crate) fn damaged(path: &Path, reason: impl fmt::Display) -> Error {
    Error::Damaged { path: path.to_owned(), reason: shorten(&reason.to_string()) }
}

fn show(path: &Path) -> String {
    format!("`{}`", shorten(&path.to_string_lossy()))
}

/// Keeps hostile strings out of messages: at most 200 characters, control characters replaced.
pub(crate) fn shorten(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
