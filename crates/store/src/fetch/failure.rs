//! Why a layer cannot be brought into the store.

use std::io;

use chunked::digest::DiffId;
use chunked::{BlobRange, Class, ContentDigest, FileRange};

use crate::error::Error;

/// Why a layer cannot be brought into the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The blob cannot be read.
    #[error("cannot read the blob")]
    Read {
        /// The cause.
        source: io::Error,
    },
    /// A frame does not hold what the TOC promises.
    #[error("the frame at bytes {range} of the blob, for `{path}`, is damaged")]
    Frame {
        /// Whose content it is.
        path: String,
        /// Where the frame is.
        range: BlobRange,
        /// What is wrong with it.
        source: io::Error,
    },
    /// A file is not what the TOC promises.
    #[error("the digest of `{path}` is {found}, the TOC has {expected}")]
    Content {
        /// The file.
        path: String,
        /// The digest in the TOC.
        expected: ContentDigest,
        /// The digest of what came.
        found: ContentDigest,
    },
    /// A chunk of a file is not what the TOC promises.
    #[error("the digest of bytes {range} of `{path}` is {found}, the TOC has {expected}")]
    Chunk {
        /// The file.
        path: String,
        /// Which bytes of it.
        range: FileRange,
        /// The digest in the TOC.
        expected: ContentDigest,
        /// The digest of what came.
        found: ContentDigest,
    },
    /// The tar is not the one that the image's configuration names.
    #[error("the diff ID of the layer is {found}, the image's configuration has {expected}")]
    DiffId {
        /// The diff ID in the configuration.
        expected: DiffId,
        /// The digest of the tar.
        found: DiffId,
    },
    /// Contents come in another order than they would have to.
    #[error("the TOC is not in the order of the tar")]
    Order,
    /// The layer contradicts itself.
    #[error(transparent)]
    Layer(chunked::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
    /// A file of the store is gone, or shorter than it was.
    #[error("the content {digest} is not in the store any more")]
    Lost {
        /// Its digest.
        digest: ContentDigest,
    },
    /// A file of the store cannot be read.
    #[error("cannot read the content {digest} in the store")]
    ReadStore {
        /// Its digest.
        digest: ContentDigest,
        /// The cause.
        source: io::Error,
    },
    /// Another layer of the pull failed that should have brought a content.
    #[error("another layer should have brought the content {digest}, and failed")]
    OtherLayer {
        /// Its digest.
        digest: ContentDigest,
    },
    /// Somebody else failed, and tells why.
    #[error("stopped because of another failure")]
    Stopped,
    /// A thread ended without a result; only a defect of this program does that.
    #[error("a worker ended without a result")]
    WorkerLost,
}

impl Failure {
    /// Says what the failure means to the caller.
    pub fn class(&self) -> Class {
        match self {
            Self::Read { source } => class_of(source),
            Self::Frame { .. } | Self::Content { .. } | Self::Chunk { .. } | Self::DiffId { .. } => {
                Class::Corrupt
            }
            Self::Layer(chunked::Error::Read { source, .. }) => class_of(source),
            Self::Layer(error) => error.class(),
            Self::Store(error) => error.class(),
            Self::Lost { .. } | Self::ReadStore { .. } | Self::Stopped | Self::WorkerLost => Class::Local,
            Self::OtherLayer { .. } => Class::Transient,
            Self::Order => Class::Unsupported,
        }
    }

    /// Tells whether this only follows from another failure.
    pub(crate) fn is_consequence(&self) -> bool {
        matches!(self, Self::Stopped | Self::OtherLayer { .. })
    }

    /// Tells whether the store has changed since it was looked at, so that it is worth to look again.
    pub(crate) fn is_outdated(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::OtherLayer { .. })
    }

    /// Says in one line why something else was done instead.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Read { source } => source.to_string(),
            Self::Layer(chunked::Error::Read { source, .. }) => source.to_string(),
            other => other.to_string(),
        }
    }
}

/// Reads the kinds that a source of ranges gives its failures.
fn class_of(error: &io::Error) -> Class {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::NotFound => Class::Missing,
        Kind::PermissionDenied => Class::Denied,
        Kind::Unsupported => Class::Unsupported,
        Kind::InvalidData | Kind::InvalidInput | Kind::UnexpectedEof => Class::Corrupt,
        Kind::TimedOut
        | Kind::ConnectionAborted
        | Kind::ConnectionRefused
        | Kind::ConnectionReset
        | Kind::HostUnreachable
        | Kind::NetworkUnreachable
        | Kind::BrokenPipe => Class::Transient,
        _ => Class::Local,
    }
}

/// Keeps names from a TOC short and harmless in messages.
pub(super) fn show(path: &str) -> String {
    path.chars().take(200).flat_map(char::escape_debug).collect()
}
