//! Registries: who they are, and what is asked of them (OCI distribution-spec 1.1).

mod anywhere;
mod certs;
mod detail;
mod documents;
mod endpoint;
mod exchange;
mod failure;
mod push;
mod referrers;
mod repository;
mod sparse;
mod tags;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use detail::Detail;
pub(crate) use documents::Listing;
pub(crate) use endpoint::Endpoint;
pub use failure::Failure;
pub(crate) use push::Session;
pub(crate) use referrers::referrers_tag;
pub(crate) use repository::{Answer, Fetched, Repository};
pub use sparse::SparsePolicy;

use crate::auth::{Given, Tokens};
use crate::config::{self, Route, Scheme};
use crate::error::Error;
use crate::hosts::Hosts;
use crate::http::{self, Http, Tls, Verification};
use crate::name::Name;

/// How to get along with registries.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How to speak HTTP.
    pub http: http::Options,
    /// Whether registries have to prove who they are. If not, they may do without TLS, too.
    pub verification: Verification,
    /// Files with credentials, in the order of preference: containers-auth.json(5), or Docker's `config.json`. Those that
    /// are not there have none.
    pub auth_files: Vec<PathBuf>,
    /// Credentials that come before those in files.
    pub credentials: Option<Given>,
    /// A directory with certificates for all registries, in place of `certs`.
    pub cert_dir: Option<PathBuf>,
    /// Directories that have one with certificates for each of some hosts, in the order of preference.
    pub certs: Vec<PathBuf>,
    /// The files that say where registries and their mirrors are.
    pub places: config::Files,
    /// What is known of the hosts that send blobs; more is learned with each answer.
    pub hosts: Hosts,
}

/// All registries, with connections, tokens and what was learned of them; clones share these.
///
/// Nothing is started before the first request.
#[derive(Debug, Clone)]
pub struct Registries(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: Options,
    http: Mutex<Option<Http>>,
    tokens: Tokens,
    /// How each address is spoken with.
    schemes: Mutex<HashMap<String, Scheme>>,
}

impl Registries {
    /// Takes the options; nothing is read or sent yet.
    pub fn new(options: Options) -> Self {
        let tokens = Tokens::new(options.auth_files.clone(), options.credentials.clone());
        Self(Arc::new(Shared { options, http: Mutex::default(), tokens, schemes: Mutex::default() }))
    }

    /// Returns what is known of the hosts that send blobs.
    pub fn hosts(&self) -> &Hosts {
        &self.0.options.hosts
    }

    /// Completes a name that was written without a host.
    pub(crate) fn complete(&self, name: &Name) -> Result<Name, Error> {
        config::complete(&self.0.options.places, name)
            .map_err(|unreadable| Failure::from(unreadable).of_image(name))
    }

    /// Finds out where the repository of `name` is.
    pub(crate) fn repository(&self, name: &Name) -> Result<Repository, Error> {
        let endpoints = self.endpoints(name).map_err(|failure| failure.of_image(name))?;
        Ok(Repository::new(self.clone(), name.clone(), endpoints))
    }

    fn endpoints(&self, name: &Name) -> Result<Vec<Endpoint>, Failure> {
        let routes = config::routes(&self.0.options.places, name)?;
        if routes.iter().any(|route| route.blocked) {
            return Err(Failure::Blocked(name.clone()));
        }
        let endpoint = |route: Route| Ok(Endpoint::at(route.clone(), self.tls(route)?));
        routes.into_iter().map(endpoint).collect()
    }

    /// Finds out how TLS is spoken with a host.
    fn tls(&self, route: Route) -> Result<Tls, Failure> {
        let Options { verification, cert_dir, certs: bases, .. } = &self.0.options;
        let verification = route.verification.unwrap_or(*verification);
        let mut tls = match cert_dir.clone().or_else(|| certs::find(bases, &route.host)) {
            Some(dir) => certs::read(&dir, verification)?,
            None => Tls { verification, ..Tls::default() },
        };
        tls.authorities.extend(route.authorities);
        tls.identity = route.identity.or(tls.identity);
        Ok(tls)
    }

    fn http(&self) -> Result<Http, Failure> {
        let mut http = lock(&self.0.http);
        if let Some(http) = &*http {
            return Ok(http.clone());
        }
        let new = Http::new(self.0.options.http.clone()).map_err(|source| Failure::NoThread { source })?;
        Ok(http.insert(new).clone())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
