//! What a registry did not do.

use std::io;

use chunked::Class;

use crate::http;

/// Why something could not be got from a registry, or not be brought there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// No answer came.
    #[error(transparent)]
    Http(#[from] http::Failure),
    /// The thread that serves connections could not be started.
    #[error("cannot start to speak HTTP")]
    NoThread {
        /// The cause.
        source: io::Error,
    },
    /// The place of something does not make a URL.
    #[error("`{0}` is not a URL")]
    Url(String),
    /// None of several places has it.
    #[error("none of {} registries and mirrors does: {}", .0.len(), reasons(.0))]
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
    /// Says what the failure means to the caller; of several, the last one counts: mirrors come before what they mirror.
    pub fn class(&self) -> Class {
        match self {
            Self::Http(failure) => failure.class(),
            Self::NoThread { .. } => Class::Local,
            Self::Url(_) => Class::Unsupported,
            Self::Everywhere(failures) => failures.last().map_or(Class::Missing, |(_, last)| last.class()),
        }
    }
}
