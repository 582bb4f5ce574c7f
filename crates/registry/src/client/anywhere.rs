//! Asks the places of a repository, mirrors first.

use std::sync::atomic::Ordering;

use super::endpoint::Endpoint;
use super::failure::Failure;
use super::repository::Repository;
use crate::config::Roles;

/// What a place is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// What a tag means.
    Tag,
    /// Content, by its digest.
    Content,
}

impl Purpose {
    fn suits(self, roles: Roles) -> bool {
        match self {
            Self::Tag => roles.resolve,
            Self::Content => roles.pull,
        }
    }
}

/// An answer, and whether another place may have a better one.
pub(super) enum Found<T> {
    Something(T),
    Nothing(T),
}

impl<T> Found<T> {
    pub(super) fn into_inner(self) -> T {
        match self {
            Self::Something(answer) | Self::Nothing(answer) => answer,
        }
    }
}

impl Repository {
    /// Asks one place after another, until one has it. A place that failed is not asked again.
    pub(super) fn anywhere<T>(
        &self,
        purpose: Purpose,
        ask: impl Fn(&Endpoint) -> Result<Found<T>, Failure>,
    ) -> Result<Found<T>, Failure> {
        let (mut reasons, mut nothing, mut has_failed) = (Vec::new(), None, false);
        for (position, endpoint) in self.endpoints.iter().enumerate().skip(self.first.load(Ordering::Relaxed))
        {
            if !purpose.suits(endpoint.roles) {
                continue;
            }
            let reason = match ask(endpoint) {
                Ok(Found::Nothing(answer)) => {
                    nothing = Some(Found::Nothing(answer));
                    Failure::NotThere
                }
                Ok(something) => return Ok(something),
                Err(failure) => {
                    has_failed = true;
                    let next = position.saturating_add(1).min(self.endpoints.len().saturating_sub(1));
                    self.first.fetch_max(next, Ordering::Relaxed);
                    failure
                }
            };
            reasons.push((endpoint.host.clone(), reason));
        }
        match (nothing.filter(|_| !has_failed), reasons.pop()) {
            (Some(nothing), _) => Ok(nothing),
            (None, Some((_, only))) if reasons.is_empty() => Err(only),
            (None, last) => Err(Failure::Everywhere(reasons.into_iter().chain(last).collect())),
        }
    }

    /// Tells whether there is no other place to ask after this one.
    pub(super) fn is_last(&self, endpoint: &Endpoint) -> bool {
        self.endpoints.last().is_some_and(|last| last == endpoint)
    }
}
