//! What keeps a server from starting or looking after its files, and what a caller can do about it.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use chunked::Class;
use registry::error::shorten;

use crate::users;

/// A failure to start, or to read or change what is served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A layout cannot be read or written.
    #[error(transparent)]
    Layout(#[from] registry::Error),
    /// The operating system refused.
    #[error("cannot {action} `{}`", shorten(&path.to_string_lossy()))]
    Io {
        /// What was tried.
        action: &'static str,
        /// What it was tried on.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The server cannot be started.
    #[error("cannot start to serve")]
    Start {
        /// The cause.
        source: io::Error,
    },
    /// The system gives no random numbers, which names that nobody can guess are made of.
    #[error("the system gives no random numbers")]
    Random {
        /// The cause.
        source: io::Error,
    },
    /// What is to be served is one repository, not a directory of them.
    #[error(
        "`{}` is itself an OCI image layout, expected a directory that holds one for each repository",
        shorten(&.0.to_string_lossy())
    )]
    IsLayout(PathBuf),
    /// Another process serves the directory, or removes what is not needed there.
    #[error("`{}` is in use by another `morsel serve`", shorten(&.0.to_string_lossy()))]
    InUse(PathBuf),
    /// The certificate or its key cannot be used.
    #[error("cannot use the certificate in `{}` with the key in `{}`", certificate.display(), key.display())]
    Certificate {
        /// The file with the certificate and those that vouch for it.
        certificate: PathBuf,
        /// The file with its key.
        key: PathBuf,
        /// The cause.
        source: rustls::Error,
    },
    /// A file with a certificate or key holds none.
    #[error("`{}` holds no {expected} in PEM form", shorten(&path.to_string_lossy()))]
    Pem {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// The file with the users is malformed.
    #[error("cannot use the users in `{}`", shorten(&path.to_string_lossy()))]
    Users {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        source: users::Invalid,
    },
    /// A repository holds more manifests than can be kept in mind.
    #[error("`{}` has more than {limit} manifests", shorten(&path.to_string_lossy()))]
    TooManyManifests {
        /// The layout.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// A manifest that has to be read to know what is needed is damaged.
    #[error("manifest {digest} in `{}` is damaged, so nobody knows what it needs", shorten(&path.to_string_lossy()))]
    Damaged {
        /// The layout.
        path: PathBuf,
        /// Which manifest.
        digest: Box<chunked::BlobDigest>,
    },
}

impl Error {
    /// Says what the failure means to the caller.
    pub fn class(&self) -> Class {
        match self {
            Self::Layout(error) => error.class(),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => Class::Missing,
            Self::Io { .. } | Self::Listen { .. } | Self::Start { .. } | Self::Random { .. } => Class::Local,
            Self::InUse(_) => Class::Transient,
            Self::IsLayout(_) | Self::TooManyManifests { .. } => Class::Unsupported,
            Self::Certificate { .. } | Self::Pem { .. } | Self::Users { .. } | Self::Damaged { .. } => {
                Class::Corrupt
            }
        }
    }
}

/// Makes an error of the operating system one that says what was tried on what.
pub(crate) fn at_path<E: Into<io::Error>>(action: &'static str, path: &Path) -> impl FnOnce(E) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source: source.into() }
}
