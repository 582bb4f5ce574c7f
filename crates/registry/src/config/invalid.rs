//! What is wrong with a file that says where registries are.

use std::io;
use std::path::{Path, PathBuf};

use super::LEN_MAX;
use crate::error::shorten;
use crate::name::{self, Name};

/// Names what is wrong with the text of a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// The text is too long.
    #[error("it is longer than {LEN_MAX} bytes")]
    Length,
    /// The text is not TOML, or something in it is of the wrong type.
    #[error("{0}")]
    Toml(String),
    /// It is of the first version of the format.
    #[error("it is of version 1 of the format, expected version 2, with `[[registry]]`")]
    Version,
    /// A registry has neither prefix nor location.
    #[error("a `[[registry]]` has neither `prefix` nor `location`")]
    NoPrefix,
    /// A prefix is not one.
    #[error("prefix `{0}` is not `HOST[/PATH]` or `*.HOST`")]
    Prefix(String),
    /// A mirror has a policy that is not known.
    #[error("`pull-from-mirror` is `{0}`, expected `all`, `digest-only` or `tag-only`")]
    Policy(String),
    /// The address of a host is not one.
    #[error("`{0}` is not the address of a host, such as `https://example.com`")]
    Address(String),
    /// A header cannot be sent.
    #[error("header `{0}` or its value cannot be sent")]
    Header(String),
    /// What a host can do is not known.
    #[error("capability `{0}` is not `pull`, `resolve` or `push`")]
    Capability(String),
    /// A name without a host may be one of several registries.
    #[error("it could be in any of `{0}`; write which, or give it an alias")]
    Ambiguous(String),
    /// Where a location leads is not the name of a repository.
    #[error("`{text}` is not the name of a repository")]
    Name {
        /// The name.
        text: String,
        /// What is wrong with it.
        source: Box<name::Invalid>,
    },
}

/// Why a file could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// It cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// It is malformed.
    #[error("`{}` is malformed", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<Invalid>,
    },
    /// It leads nowhere.
    #[error("`registries.conf` leads nowhere from `{name}`")]
    NoPlace {
        /// The name looked up.
        name: Name,
        /// What is wrong.
        #[source]
        why: Invalid,
    },
    /// It does not complete a name that was written without a host.
    #[error("`registries.conf` does not say where `{short}` is")]
    Incomplete {
        /// What was written.
        short: String,
        /// What is wrong.
        #[source]
        why: Invalid,
    },
}

impl Invalid {
    /// Says what is wrong with TOML, and in which line if that is known.
    pub(super) fn toml(error: &toml::de::Error, text: &str) -> Self {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map(|before| before.matches('\n').count().saturating_add(1));
        let place = line.map(|line| format!(" in line {line}")).unwrap_or_default();
        Self::Toml(format!("{}{place}", shorten(error.message())))
    }
}

impl Unreadable {
    pub(super) fn malformed(path: &Path, why: Invalid) -> Self {
        Self::Malformed { path: path.to_owned(), source: Box::new(why) }
    }
}
