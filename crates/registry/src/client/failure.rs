//! What a registry did not do.

use std::io;
use std::path::PathBuf;

use chunked::Class;
use reqwest::StatusCode;

use super::detail::Detail;
use crate::auth;
use crate::config;
use crate::error::Error;
use crate::http::{self, Place};
use crate::image;
use crate::name::Name;
use crate::reference::Reference;

/// Why something could not be got from a registry, or not be brought there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// No answer came.
    #[error(transparent)]
    Http(#[from] http::Failure),
    /// There are no credentials that could be used.
    #[error(transparent)]
    Credentials(#[from] auth::Invalid),
    /// The registry does not let us in.
    #[error("`{place}` refuses: {status}{detail}{}", if *had_credentials { "" } else { " (there are no credentials for it)" })]
    Denied {
        /// What was asked for.
        place: Place,
        /// The answer.
        status: StatusCode,
        /// What the registry says about it.
        detail: Detail,
        /// Whether this machine has credentials for it.
        had_credentials: bool,
    },
    /// The registry does not have it.
    #[error("`{place}` is not there{detail}")]
    Missing {
        /// What was asked for.
        place: Place,
        /// What the registry says about it.
        detail: Detail,
    },
    /// The registry answers with a status that makes no sense here.
    #[error("`{place}` answers {status}{detail}")]
    Unexpected {
        /// What was asked for.
        place: Place,
        /// The answer.
        status: StatusCode,
        /// What the registry says about it.
        detail: Detail,
    },
    /// The answer broke off.
    #[error("cannot read the answer of `{place}`")]
    Body {
        /// What was asked for.
        place: Place,
        /// The cause.
        source: io::Error,
    },
    /// The answer is longer than anything it could sensibly be.
    #[error("the answer of `{place}` is longer than {limit} bytes")]
    TooLong {
        /// What was asked for.
        place: Place,
        /// The limit in bytes.
        limit: u64,
    },
    /// The answer is not what the registry says it is.
    #[error("`{place}` has the digest {found}, the registry says {expected}")]
    Digest {
        /// What was asked for.
        place: Place,
        /// The digest in the header of the answer.
        expected: String,
        /// The digest of the answer.
        found: String,
    },
    /// A file that says where registries are cannot be used.
    #[error(transparent)]
    Places(#[from] config::Unreadable),
    /// The registry is blocked.
    #[error("`{0}` is blocked by `registries.conf`")]
    Blocked(Name),
    /// Nothing that is known of a registry takes images.
    #[error("none of the places that are known for it takes images")]
    ReadOnly,
    /// A registry does not say where an upload goes on.
    #[error("`{place}` does not say where the upload goes on")]
    NoLocation {
        /// What was asked for.
        place: Place,
    },
    /// A registry forgot an upload.
    #[error("the registry lost a part of the upload")]
    Lost,
    /// The image that was to be written has another digest than its name.
    #[error("the image has the digest {found}, its name says {expected}")]
    OtherDigest {
        /// The digest in the name.
        expected: String,
        /// The digest of the image.
        found: String,
    },
    /// A list of manifests is malformed.
    #[error("`{place}` is not a list of manifests")]
    List {
        /// What was asked for.
        place: Place,
        /// What is wrong with it.
        source: image::Invalid,
    },
    /// A repository has more tags than can be looked through.
    #[error("it has more than {limit} tags")]
    TooManyTags {
        /// The limit.
        limit: usize,
    },
    /// The certificates for a host cannot be read.
    #[error("cannot use the certificates in `{}`", dir.display())]
    Certs {
        /// Where they are.
        dir: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The thread that serves connections could not be started.
    #[error("cannot start to speak HTTP")]
    NoThread {
        /// The cause.
        source: io::Error,
    },
    /// The place of something does not make a URL.
    #[error("`{0}` is not a URL")]
    Url(String),
    /// Text cannot be sent in a header.
    #[error("`{0}` cannot be sent as a header")]
    Header(String),
    /// One of several places does not have it.
    #[error("it is not there")]
    NotThere,
    /// There is no image of the name.
    #[error("there is no such image at {}", hosts.join(", nor at "))]
    NoImage {
        /// Where it was looked for.
        hosts: Vec<String>,
    },
    /// None of several places has it.
    #[error("none of {} places has it: {}", .0.len(), reasons(.0))]
    Everywhere(Vec<(String, Failure)>),
}

fn reasons(failures: &[(String, Failure)]) -> String {
    let reason = |(host, failure): &(String, Failure)| {
        let causes = std::iter::successors(Some(failure as &dyn std::error::Error), |error| error.source());
        format!("{host}: {}", causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
    };
    failures.iter().map(reason).collect::<Vec<_>>().join("; ")
}

impl Failure {
    /// Says which image it is about.
    pub(super) fn of_image(self, name: &Name) -> Error {
        let place = Box::new(Reference::Registry(name.clone()));
        Error::Registry { place, source: Box::new(self) }
    }

    /// Tells whether it may work when it is tried again.
    pub(super) fn is_transient(&self) -> bool {
        self.class() == Class::Transient
    }

    /// Says what the failure means to the caller; of several, the last one counts: mirrors come before what they mirror.
    pub fn class(&self) -> Class {
        match self {
            Self::Http(failure) => failure.class(),
            Self::Credentials(invalid) => invalid.class(),
            Self::Denied { .. } | Self::Blocked(_) => Class::Denied,
            Self::Missing { .. } | Self::NoImage { .. } | Self::NotThere => Class::Missing,
            Self::Unexpected { .. } | Self::NoLocation { .. } | Self::List { .. } => Class::Unsupported,
            Self::Body { .. } | Self::Lost => Class::Transient,
            Self::TooLong { .. } | Self::Digest { .. } => Class::Corrupt,
            Self::TooManyTags { .. } => Class::Unsupported,
            Self::NoThread { .. } | Self::Certs { .. } | Self::Places(_) => Class::Local,
            Self::Url(_) | Self::Header(_) | Self::ReadOnly | Self::OtherDigest { .. } => Class::Unsupported,
            Self::Everywhere(failures) => failures.last().map_or(Class::Missing, |(_, last)| last.class()),
        }
    }
}
