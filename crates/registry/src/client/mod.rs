//! Registries: who they are, and what is asked of them (OCI distribution-spec 1.1).

mod certs;
mod detail;
mod endpoint;
mod exchange;
mod failure;
mod repository;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use detail::Detail;
pub(crate) use endpoint::Endpoint;
pub use failure::Failure;
pub(crate) use repository::{Answer, Fetched, Repository};

use self::endpoint::Scheme;
use crate::auth::Tokens;
use crate::error::Error;
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
    /// A directory with certificates for all registries, in place of `certs`.
    pub cert_dir: Option<PathBuf>,
    /// Directories that have one with certificates for each of some hosts, in the order of preference.
    pub certs: Vec<PathBuf>,
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
        let tokens = Tokens::new(options.auth_files.clone());
        Self(Arc::new(Shared { options, http: Mutex::default(), tokens, schemes: Mutex::default() }))
    }

    /// Finds out where the repository of `name` is.
    pub(crate) fn repository(&self, name: &Name) -> Result<Repository, Error> {
        let here = |failure| Failure::of_image(failure, name);
        let tls = self.tls(name.host(), self.0.options.verification).map_err(here)?;
        Ok(Repository::new(self.clone(), name.clone(), vec![Endpoint::of(name, tls)]))
    }

    /// Finds out how TLS is spoken with a host.
    fn tls(&self, host: &str, verification: Verification) -> Result<Tls, Failure> {
        let Options { cert_dir, certs: bases, .. } = &self.0.options;
        match cert_dir.clone().or_else(|| certs::find(bases, host)) {
            Some(dir) => certs::read(&dir, verification),
            None => Ok(Tls { verification, ..Tls::default() }),
        }
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
