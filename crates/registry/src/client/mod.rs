//! Registries: who they are, and what is asked of them (OCI distribution-spec 1.1).

mod endpoint;
mod failure;
mod repository;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use endpoint::Endpoint;
pub use failure::Failure;
pub(crate) use repository::{Answer, Repository};

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
}

impl Registries {
    /// Takes the options; nothing is read or sent yet.
    pub fn new(options: Options) -> Self {
        Self(Arc::new(Shared { options, http: Mutex::default() }))
    }

    /// Finds out where the repository of `name` is.
    pub(crate) fn repository(&self, name: &Name) -> Result<Repository, Error> {
        let tls = Tls { verification: self.0.options.verification, ..Tls::default() };
        Ok(Repository::new(self.clone(), name.clone(), vec![Endpoint::of(name, tls)]))
    }

    fn http(&self) -> Result<Http, Failure> {
        let mut http = self.0.http.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(http) = &*http {
            return Ok(http.clone());
        }
        let new = Http::new(self.0.options.http.clone()).map_err(|source| Failure::NoThread { source })?;
        Ok(http.insert(new).clone())
    }
}
