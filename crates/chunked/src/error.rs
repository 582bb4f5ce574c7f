//! What can go wrong with a layer, and what a caller can do about it.

use std::io;

use crate::digest::{Digest, InvalidDigest};

/// What a failure means to the caller: whether to fall back, retry, refuse or look at the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Valid, but not something this program handles; a plainer way may work.
    Unsupported,
    /// May work when tried again.
    Transient,
    /// The bytes are wrong: truncated, damaged, or lying. Never retried, never downgraded.
    Corrupt,
    /// The other side refuses.
    Denied,
    /// What was asked for is not there.
    Missing,
    /// This machine failed: disk, memory, permissions.
    Local,
}

/// A failure to read, write or check a layer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading the input failed.
    #[error("cannot read {what}")]
    Read {
        /// What was being read.
        what: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// Writing the output failed.
    #[error("cannot write {what}")]
    Write {
        /// What was being written.
        what: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// Bytes do not hash to the digest that vouches for them.
    #[error("digest of the {what} is {found}, expected {expected}")]
    DigestMismatch {
        /// What was hashed.
        what: &'static str,
        /// The digest promised.
        expected: Digest,
        /// The digest of the bytes.
        found: Digest,
    },
    /// A digest string is malformed.
    #[error("the {what} is malformed")]
    InvalidDigest {
        /// What the digest is of.
        what: &'static str,
        /// What is wrong with it.
        source: InvalidDigest,
    },
    /// The annotations place metadata where the blob has none.
    #[error("the annotations are wrong: {0}")]
    Misplaced(crate::location::Misplaced),
    /// A TOC is malformed, contradicts itself, or is more than the limits allow.
    #[error(transparent)]
    Toc(#[from] crate::toc::Invalid),
    /// Bytes that should be a tar are none.
    #[error(transparent)]
    Tar(#[from] crate::tar::Invalid),
    /// The TOC and the tar tell different stories.
    #[error(transparent)]
    Inconsistent(#[from] crate::audit::Inconsistent),
    /// A tar-split stream is malformed, or does not fit the content it is put together with.
    #[error(transparent)]
    TarSplit(#[from] crate::tar_split::Invalid),
    /// The layer holds something that cannot be unpacked from a TOC, or its tar is damaged.
    #[error("the layer cannot be indexed: {0}")]
    Unindexable(crate::index::PlainReason),
    /// zstd failed, for want of memory.
    #[error("cannot compress")]
    Compress {
        /// The cause.
        source: io::Error,
    },
    /// What was written does not decode to what was read; only a defect of this program or of the machine does that.
    #[error("self-check failed: the {what} written does not match what was read")]
    SelfCheck {
        /// What differs.
        what: &'static str,
        /// How, where more is known.
        source: Option<Box<Error>>,
    },
    /// A thread of the pipeline ended without a result; only a defect of this program does that.
    #[error("a worker of the pipeline ended without a result")]
    WorkerLost,
}

impl Error {
    /// Says what the failure means to the caller.
    pub fn class(&self) -> Class {
        match self {
            Self::Read { source, .. } => class_of(source),
            // Bytes that cannot be written are ours, and right; only where they go can be a network.
            Self::Write { source, .. } => {
                Some(class_of(source)).filter(|class| *class != Class::Corrupt).unwrap_or(Class::Local)
            }
            Self::Compress { .. } => Class::Local,
            Self::SelfCheck { .. } | Self::WorkerLost => Class::Local,
            Self::Unindexable(why) if !why.is_damage() => Class::Unsupported,
            Self::Unindexable(_) => Class::Corrupt,
            Self::Toc(invalid) if invalid.is_unsupported() => Class::Unsupported,
            Self::Misplaced(_) | Self::Toc(_) | Self::TarSplit(_) => Class::Corrupt,
            Self::Tar(_) | Self::Inconsistent(_) => Class::Corrupt,
            Self::DigestMismatch { .. } | Self::InvalidDigest { .. } => Class::Corrupt,
        }
    }
}

/// Says what a failure to read means. The operating system's own errors are about this machine, whatever their kind.
fn class_of(error: &io::Error) -> Class {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, InvalidData, InvalidInput, NotFound, PermissionDenied, TimedOut,
        UnexpectedEof, Unsupported,
    };
    match error.kind() {
        InvalidData | UnexpectedEof | InvalidInput => Class::Corrupt,
        _ if error.raw_os_error().is_some() => Class::Local,
        ConnectionAborted | ConnectionReset | TimedOut => Class::Transient,
        NotFound => Class::Missing,
        PermissionDenied => Class::Denied,
        Unsupported => Class::Unsupported,
        _ => Class::Local,
    }
}
