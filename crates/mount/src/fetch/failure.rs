//! Why content does not come.

use std::io;
use std::sync::Arc;

use chunked::{Class, ContentDigest};

use crate::error::Error;

/// Why content does not come. Many may wait for the same, so it can be cloned.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The blob cannot be read.
    #[error("cannot read the blob: {text}")]
    Source {
        /// What kind of failure it is.
        kind: io::ErrorKind,
        /// What the source says.
        text: Arc<str>,
    },
    /// What came is not what the TOC promises.
    #[error("what came for {expected} is {found}")]
    Wrong {
        /// The digest in the TOC.
        expected: ContentDigest,
        /// The digest of what came.
        found: ContentDigest,
    },
    /// A frame cannot be decoded.
    #[error("the frame for {digest} is damaged: {text}")]
    Frame {
        /// The digest of what it should hold.
        digest: ContentDigest,
        /// What is wrong with it.
        text: Arc<str>,
    },
    /// Nobody serves the layer any more.
    #[error("nobody says where the layer is")]
    NoLayer,
    /// The chunks of a file are what the TOC promises, and the file is not.
    #[error("the TOC contradicts itself on {digest}")]
    Contradiction {
        /// The digest of the file.
        digest: ContentDigest,
    },
    /// Another layer that is served says something else of a file, so it is not known which is right.
    #[error("another layer says something else of {digest}")]
    Disputed {
        /// The digest of the file.
        digest: ContentDigest,
    },
    /// Somebody else is about to fetch it, and nobody else can meanwhile. It is worth another try soon.
    #[error("somebody else is fetching {digest}")]
    Taken {
        /// The digest of the file.
        digest: ContentDigest,
    },
    /// The store failed.
    #[error("{0}")]
    Store(Arc<Error>),
    /// It did not come in time.
    #[error("it did not come in time")]
    Late,
}

impl Failure {
    pub(super) fn source(error: &io::Error) -> Self {
        Self::Source { kind: error.kind(), text: crate::error::shorten(&error.to_string()).into() }
    }

    /// Tells whether another place may give what this one did not.
    pub(super) fn is_of_source(&self) -> bool {
        matches!(self, Self::Source { .. } | Self::Wrong { .. } | Self::Frame { .. } | Self::NoLayer)
    }

    /// Says what the failure means to the caller.
    pub fn class(&self) -> Class {
        match self {
            Self::Source { kind: io::ErrorKind::Unsupported, .. } => Class::Unsupported,
            Self::Source { kind: io::ErrorKind::NotFound, .. } | Self::NoLayer => Class::Missing,
            Self::Source { kind: io::ErrorKind::PermissionDenied, .. } => Class::Denied,
            Self::Source { .. } | Self::Late | Self::Taken { .. } => Class::Transient,
            Self::Wrong { .. } | Self::Frame { .. } | Self::Contradiction { .. } | Self::Disputed { .. } => {
                Class::Corrupt
            }
            Self::Store(error) => error.class(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        Self::Store(Arc::new(error.into()))
    }
}
