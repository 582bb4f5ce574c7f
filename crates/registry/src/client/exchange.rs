//! One request to a registry: over TLS or not, and with credentials once it asks for some.

use reqwest::header::HeaderValue;
use reqwest::{Method, StatusCode, Url};

use super::Registries;
use super::detail::Detail;
use super::endpoint::Endpoint;
use super::failure::Failure;
use super::lock;
use crate::auth::{Login, Scope, Wanted};
use crate::config::Scheme;
use crate::http::{self, Http, Place, Request, Response};

impl Registries {
    /// Sends a request to an endpoint; a 401 is answered with what this machine has.
    ///
    /// # Errors
    /// When nothing answers, and [`Failure::Denied`] when the registry is not convinced.
    pub(super) fn exchange(
        &self,
        endpoint: &Endpoint,
        scope: &Scope,
        request: &Request,
    ) -> Result<Response, Failure> {
        let http = self.http()?;
        if !endpoint.is_at(request.url()) {
            return Ok(http.send(request)?);
        }
        let request = request.clone().with_private(endpoint.headers.clone());
        let wanted = Wanted {
            host: &endpoint.host,
            repository: &endpoint.repository,
            scope,
            tls: &endpoint.tls,
            is_secure: request.url().scheme() == "https",
        };
        let known = self.0.tokens.known(&http, wanted)?;
        let first = http.send(&request.clone().authorized(known.clone()))?;
        if first.status != StatusCode::UNAUTHORIZED || first.url.origin() != request.url().origin() {
            return Ok(first);
        }
        let answer = self.0.tokens.answer(&http, wanted, &first.headers, known.as_ref())?;
        let Some(header) = answer else { return Err(self.denied(endpoint, first)) };
        let (sent, retries) = (first.sent, first.retries);
        first.body.drain();
        let mut second = http.send(&request.clone().authorized(Some(header)))?;
        if second.status == StatusCode::UNAUTHORIZED {
            return Err(self.denied(endpoint, second));
        }
        second.sent = second.sent.saturating_add(sent);
        second.retries = second.retries.saturating_add(retries);
        Ok(second)
    }

    /// Says what an endpoint wanted of us so far.
    pub(super) fn login(&self, endpoint: &Endpoint, scope: &Scope) -> Login {
        self.0.tokens.login(&endpoint.host, scope)
    }

    /// Says that a registry does not let us in.
    pub(super) fn denied(&self, endpoint: &Endpoint, response: Response) -> Failure {
        Failure::Denied {
            place: Place::from(&response.url),
            status: response.status,
            detail: Detail::read(response.body),
            had_credentials: self.0.tokens.has_credentials(&endpoint.host, &endpoint.repository),
        }
    }

    /// Returns the URL of something in a repository.
    pub(super) fn url(&self, endpoint: &Endpoint, rest: &str) -> Result<Url, Failure> {
        endpoint.url(self.scheme(endpoint)?, rest)
    }

    /// Finds out how an endpoint is spoken with, where that is not certain.
    pub(super) fn scheme(&self, endpoint: &Endpoint) -> Result<Scheme, Failure> {
        if let Some(scheme) = endpoint.fixed_scheme() {
            return Ok(scheme);
        }
        let known = lock(&self.0.schemes).get(&endpoint.address).copied();
        if let Some(scheme) = known {
            return Ok(scheme);
        }
        let scheme = probe(&self.http()?, endpoint)?;
        lock(&self.0.schemes).insert(endpoint.address.clone(), scheme);
        Ok(scheme)
    }
}

fn probe(http: &Http, endpoint: &Endpoint) -> Result<Scheme, Failure> {
    let url = endpoint.probe_url(Scheme::Https)?;
    match http.send(&Request::new(Method::GET, url, endpoint.tls.clone()).once()) {
        Ok(response) => {
            response.body.drain();
            Ok(Scheme::Https)
        }
        // It speaks TLS, only not with us: what it says when it is asked for something is of use.
        Err(http::Failure::Certificate { .. } | http::Failure::Certificates { .. }) => Ok(Scheme::Https),
        Err(http::Failure::Unavailable { .. }) => Ok(Scheme::Https),
        Err(_) => Ok(Scheme::Http),
    }
}

/// Makes a header of text of which we know that it can be one, or else say what cannot.
pub(super) fn header_value(text: &str) -> Result<HeaderValue, Failure> {
    HeaderValue::from_str(text).map_err(|_| Failure::Header(crate::error::shorten(text)))
}
