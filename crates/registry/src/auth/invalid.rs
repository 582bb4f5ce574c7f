//! What is wrong with credentials, or with how they are asked for.

use std::io;
use std::path::PathBuf;

use chunked::Class;

use crate::error::shorten;

/// Why there are no credentials, or none that convince.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// A file with credentials cannot be read.
    #[error("cannot read the credentials in `{}`", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file with credentials is malformed.
    #[error("the credentials in `{}` are malformed: {why}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it; never what it holds.
        why: String,
    },
    /// A credential helper failed.
    #[error("the credential helper `{program}` gives no credentials for `{server}`: {why}")]
    Helper {
        /// The program.
        program: String,
        /// What it was asked about.
        server: String,
        /// What went wrong.
        why: String,
    },
    /// The registry asks in a way that is not understood.
    #[error("the registry asks for credentials in a way that is not understood: {0}")]
    Challenge(String),
    /// The registry wants passwords to be sent where everybody can read them.
    #[error("the registry wants credentials to be sent to `{}` without TLS", shorten(.0))]
    PlainRealm(String),
    /// What should be a token is none.
    #[error("`{place}` gives no token: {why}")]
    Token {
        /// Where it was asked for.
        place: String,
        /// What is wrong with the answer.
        why: String,
    },
}

impl Invalid {
    /// Says what the failure means to the caller.
    pub fn class(&self) -> Class {
        match self {
            Self::Read { .. } | Self::File { .. } | Self::Helper { .. } => Class::Local,
            Self::Challenge(_) | Self::Token { .. } => Class::Unsupported,
            Self::PlainRealm(_) => Class::Denied,
        }
    }
}
