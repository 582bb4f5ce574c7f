//! One repository, and what is read from it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chunked::BlobDigest;
use reqwest::header::{HeaderMap, HeaderValue, RANGE};
use reqwest::{Method, StatusCode, Url};

use super::Registries;
use super::endpoint::{Endpoint, Scheme};
use super::failure::Failure;
use crate::error::Error;
use crate::http::{self, Body, Request, Response};
use crate::name::Name;
use crate::reference::Reference;

/// The repository that a name says, at its registry and at the mirrors of that.
#[derive(Debug)]
pub(crate) struct Repository {
    registries: Registries,
    name: Name,
    /// Where it is, in the order of preference.
    endpoints: Vec<Endpoint>,
    learned: Mutex<Learned>,
}

#[derive(Debug, Default)]
struct Learned {
    /// How each address is spoken with.
    schemes: HashMap<String, Scheme>,
    /// Where blobs really are: the targets of redirects, which expire.
    targets: HashMap<BlobDigest, Url>,
}

/// The answer to a request for a blob: its status can be any but those that are worth waiting.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status, such as 200, 206, 404 or 416.
    pub(crate) status: StatusCode,
    /// The host that has the bytes, after redirects, with its port if that is not the usual one.
    pub(crate) host: String,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body, which nobody read yet.
    pub(crate) body: Body,
    /// Requests it took.
    pub(crate) sent: u64,
    /// Those of them that were sent because another one failed.
    pub(crate) retries: u64,
}

impl Repository {
    pub(super) fn new(registries: Registries, name: Name, endpoints: Vec<Endpoint>) -> Self {
        Self { registries, name, endpoints, learned: Mutex::default() }
    }

    /// Asks for a blob, or for what `range` says of it: the value of a `Range` header.
    ///
    /// Redirects, tokens and retries are dealt with until an answer begins.
    ///
    /// # Errors
    /// When nothing answers, or nobody lets us in.
    pub(crate) fn get_blob(&self, digest: &BlobDigest, range: Option<&str>) -> Result<Answer, Error> {
        self.anywhere(|endpoint| self.blob_at(endpoint, digest, range)).map_err(|failure| self.error(failure))
    }

    /// Asks one place after another, until one has it.
    fn anywhere(&self, ask: impl Fn(&Endpoint) -> Result<Answer, Failure>) -> Result<Answer, Failure> {
        let mut failures = Vec::new();
        let mut missing = None;
        for endpoint in &self.endpoints {
            match ask(endpoint) {
                Ok(answer) if answer.status == StatusCode::NOT_FOUND => missing = Some(answer),
                Ok(answer) => return Ok(answer),
                Err(failure) => failures.push((endpoint.host.clone(), failure)),
            }
        }
        match (missing, failures.pop()) {
            (Some(missing), None) => Ok(missing),
            (None, Some((_, failure))) if failures.is_empty() => Err(failure),
            (_, last) => Err(Failure::Everywhere(failures.into_iter().chain(last).collect())),
        }
    }

    fn blob_at(
        &self,
        endpoint: &Endpoint,
        digest: &BlobDigest,
        range: Option<&str>,
    ) -> Result<Answer, Failure> {
        let known = self.learned().targets.get(digest).cloned();
        let mut before = (0, 0);
        if let Some(target) = known {
            let response = self.registries.http()?.send(&ranged(target, endpoint, range)?)?;
            if !has_expired(response.status) {
                return Ok(response.into());
            }
            self.learned().targets.remove(digest);
            before = (response.sent, response.retries.saturating_add(1));
            response.body.drain();
        }
        let url = endpoint.url(self.scheme(endpoint)?, &format!("blobs/{digest}"))?;
        let response = self.send(&ranged(url.clone(), endpoint, range)?)?;
        if response.url != url && response.status.is_success() {
            self.learned().targets.insert(*digest, response.url.clone());
        }
        let mut answer = Answer::from(response);
        answer.sent = answer.sent.saturating_add(before.0);
        answer.retries = answer.retries.saturating_add(before.1);
        Ok(answer)
    }

    /// Sends a request to an endpoint.
    fn send(&self, request: &Request) -> Result<Response, Failure> {
        Ok(self.registries.http()?.send(request)?)
    }

    /// Finds out how an endpoint is spoken with, where that is not certain.
    fn scheme(&self, endpoint: &Endpoint) -> Result<Scheme, Failure> {
        if !endpoint.may_be_plain() {
            return Ok(Scheme::Https);
        }
        if let Some(scheme) = self.learned().schemes.get(&endpoint.address) {
            return Ok(*scheme);
        }
        let probe =
            Request::new(Method::GET, endpoint.probe_url(Scheme::Https)?, endpoint.tls.clone()).once();
        let scheme = match self.registries.http()?.send(&probe) {
            Ok(response) => {
                response.body.drain();
                Scheme::Https
            }
            // It speaks TLS, only not with us: what it says then is of use.
            Err(http::Failure::Certificate { .. } | http::Failure::Certificates { .. }) => Scheme::Https,
            Err(_) => Scheme::Http,
        };
        self.learned().schemes.insert(endpoint.address.clone(), scheme);
        Ok(scheme)
    }

    fn learned(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, source: Failure) -> Error {
        let place = Box::new(Reference::Registry(self.name.clone()));
        Error::Registry { place, source: Box::new(source) }
    }
}

/// A signed URL that expired is refused in one of these ways.
fn has_expired(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::GONE
    )
}

fn ranged(url: Url, endpoint: &Endpoint, range: Option<&str>) -> Result<Request, Failure> {
    let request = Request::new(Method::GET, url, endpoint.tls.clone());
    let Some(range) = range else { return Ok(request) };
    let value = HeaderValue::from_str(range).map_err(|_| Failure::Url(crate::error::shorten(range)))?;
    Ok(request.header(RANGE, value))
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        let Response { status, url, headers, body, sent, retries } = response;
        let host = url.host_str().unwrap_or_default();
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Self { status, host, headers, body, sent, retries }
    }
}
