//! One repository, and what is read from it.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use chunked::{BlobDigest, Digest};
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RANGE};
use reqwest::{Method, StatusCode, Url, Version};

use super::anywhere::{Found, Purpose};
use super::detail::Detail;
use super::endpoint::Endpoint;
use super::exchange::header_value;
use super::failure::Failure;
use super::{Registries, lock};
use serde::de::IgnoredAny;

use crate::auth::{Login, Scope};
use crate::error::Error;
use crate::hosts::Hosts;
use crate::http::{Body, Place, Request, Response};
use crate::image::DOCUMENT_LEN_MAX;
use crate::media_type::MediaType;
use crate::name::Name;

/// The manifests and indexes that we read, the preferred ones first. Registries convert to types that are not named here,
/// or refuse.
pub(super) const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, \
    application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.list.v2+json";
/// The digest of a manifest, as the registry knows it.
pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// The repository that a name says, at its registry and at the mirrors of that.
#[derive(Debug)]
pub(crate) struct Repository {
    pub(super) registries: Registries,
    name: Name,
    /// Where it is, in the order of preference.
    pub(super) endpoints: Vec<Endpoint>,
    /// Where blobs really are: the targets of redirects, which expire.
    targets: Mutex<HashMap<BlobDigest, Url>>,
    /// The first endpoint that did not fail.
    pub(super) first: AtomicUsize,
    /// Whether the registry is known to keep no lists of referrers.
    pub(super) has_no_lists: AtomicBool,
}

/// The answer to a request for a blob: its status can be any but those that are worth waiting.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status, such as 200, 206, 404 or 416.
    pub(crate) status: StatusCode,
    /// The host that has the bytes, after redirects, with its port if that is not the usual one.
    pub(crate) host: String,
    /// The version of HTTP that the host spoke.
    pub(crate) version: Version,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body, which nobody read yet.
    pub(crate) body: Body,
    /// Requests it took.
    pub(crate) sent: u64,
    /// Those of them that were sent because another one failed.
    pub(crate) retries: u64,
}

/// A manifest or index as it came.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) media_type: MediaType,
    pub(crate) bytes: Vec<u8>,
}

impl Repository {
    pub(super) fn new(registries: Registries, name: Name, endpoints: Vec<Endpoint>) -> Self {
        Self {
            registries,
            name,
            endpoints,
            targets: Mutex::default(),
            first: AtomicUsize::new(0),
            has_no_lists: AtomicBool::new(false),
        }
    }

    /// Returns the host that the name says.
    pub(crate) fn host(&self) -> &str {
        self.name.host()
    }

    /// Returns what is known of the hosts that send blobs.
    pub(crate) fn hosts(&self) -> &Hosts {
        self.registries.hosts()
    }

    /// Says what the registry wanted of us so far.
    pub(crate) fn login(&self) -> Login {
        let login = |endpoint: &Endpoint| self.registries.login(endpoint, &Scope::pull(&endpoint.repository));
        self.endpoints.get(self.first.load(Ordering::Relaxed)).map_or(Login::None, login)
    }

    /// Asks for a blob, or for what `range` says of it: the value of a `Range` header.
    ///
    /// Redirects, tokens and retries are dealt with until an answer begins.
    ///
    /// # Errors
    /// When nothing answers, or nobody lets us in.
    pub(crate) fn get_blob(&self, digest: &BlobDigest, range: Option<&str>) -> Result<Answer, Error> {
        let answer = self.anywhere(Purpose::Content, |endpoint| {
            let answer = self.blob_at(endpoint, digest, range)?;
            Ok(match answer.status {
                StatusCode::NOT_FOUND => Found::Nothing(answer),
                StatusCode::FORBIDDEN if !self.is_last(endpoint) => {
                    let place = Place::from(&self.registries.url(endpoint, &format!("blobs/{digest}"))?);
                    return Err(Failure::Unexpected {
                        place,
                        status: answer.status,
                        detail: Detail::read(answer.body),
                    });
                }
                _ => Found::Something(answer),
            })
        });
        answer.map(Found::into_inner).map_err(|failure| self.error(failure))
    }

    /// Tells whether there is a blob, and its length where the registry says so. Where it is is not asked.
    pub(crate) fn find_blob(&self, digest: &BlobDigest) -> Result<Option<Stated>, Error> {
        let found = self.anywhere(Purpose::Content, |endpoint| {
            let url = self.registries.url(endpoint, &format!("blobs/{digest}"))?;
            let request = Request::new(Method::HEAD, url, endpoint.tls.clone()).without_redirects();
            let response = self.send(endpoint, &request)?;
            Ok(match response.status.as_u16() {
                404 => Found::Nothing(None),
                200 => Found::Something(Some(Stated { len: stated_len(&response.headers) })),
                // Where a redirect leads, HEAD is often refused, but the registry would not lead to nothing. Of one that
                // refuses HEAD itself, GET will tell.
                _ => Found::Something(Some(Stated { len: None })),
            })
        });
        found.map(Found::into_inner).map_err(|failure| self.error(failure))
    }

    /// Reads a manifest or index by tag or digest; `None` when there is none.
    ///
    /// Only its length is checked, and that it is what the registry says it is.
    pub(crate) fn get_manifest(&self, which: &str) -> Result<Option<Fetched>, Error> {
        let purpose = if which.contains(':') { Purpose::Content } else { Purpose::Tag };
        let found = self.anywhere(purpose, |endpoint| {
            let url = self.registries.url(endpoint, &format!("manifests/{which}"))?;
            let request = Request::new(Method::GET, url, endpoint.tls.clone())
                .header(ACCEPT, HeaderValue::from_static(ACCEPTED));
            let response = self.send(endpoint, &request)?;
            match response.status {
                StatusCode::NOT_FOUND => Ok(Found::Nothing(None)),
                StatusCode::OK => Ok(Found::Something(Some(read_manifest(response)?))),
                _ => Err(self.unexpected(endpoint, response)),
            }
        });
        found.map(Found::into_inner).map_err(|failure| self.error(failure))
    }

    /// Reads a blob of at most `len` bytes; `None` when there is none.
    pub(crate) fn get_small_blob(&self, digest: &BlobDigest, len: u64) -> Result<Option<Vec<u8>>, Error> {
        let found = self.anywhere(Purpose::Content, |endpoint| {
            let url = self.registries.url(endpoint, &format!("blobs/{digest}"))?;
            let response =
                self.send(endpoint, &Request::new(Method::GET, url, endpoint.tls.clone()).with_digest())?;
            match response.status {
                StatusCode::NOT_FOUND => Ok(Found::Nothing(None)),
                StatusCode::OK => Ok(Found::Something(Some(read_body(response, len)?))),
                _ => Err(self.unexpected(endpoint, response)),
            }
        });
        found.map(Found::into_inner).map_err(|failure| self.error(failure))
    }

    fn blob_at(
        &self,
        endpoint: &Endpoint,
        digest: &BlobDigest,
        range: Option<&str>,
    ) -> Result<Answer, Failure> {
        let known = lock(&self.targets).get(digest).cloned();
        let mut before = (0, 0);
        if let Some(target) = known {
            let response = self.registries.http()?.send(&ranged(target, endpoint, range)?)?;
            if !may_have_expired(response.status) {
                return Ok(response.into());
            }
            lock(&self.targets).remove(digest);
            before = (response.sent, response.retries.saturating_add(1));
            response.body.drain();
        }
        let url = self.registries.url(endpoint, &format!("blobs/{digest}"))?;
        let response = self.send(endpoint, &ranged(url.clone(), endpoint, range)?)?;
        if response.url != url && response.status.is_success() {
            lock(&self.targets).insert(*digest, response.url.clone());
        }
        let mut answer = Answer::from(response);
        answer.sent = answer.sent.saturating_add(before.0);
        answer.retries = answer.retries.saturating_add(before.1);
        Ok(answer)
    }

    fn send(&self, endpoint: &Endpoint, request: &Request) -> Result<Response, Failure> {
        let scope = Scope::pull(&endpoint.repository);
        // The next place is tried sooner than the same again.
        match self.is_last(endpoint) {
            true => self.registries.exchange(endpoint, &scope, request),
            false => self.registries.exchange(endpoint, &scope, &request.clone().once()),
        }
    }

    /// Says what an answer means that is not the one hoped for.
    pub(super) fn unexpected(&self, endpoint: &Endpoint, response: Response) -> Failure {
        let place = Place::from(&response.url);
        match response.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.registries.denied(endpoint, response),
            StatusCode::NOT_FOUND => Failure::Missing { place, detail: Detail::read(response.body) },
            status => Failure::Unexpected { place, status, detail: Detail::read(response.body) },
        }
    }

    /// Says that there is no image of the name.
    pub(crate) fn missing(&self) -> Error {
        self.error(Failure::NoImage {
            hosts: self.endpoints.iter().map(|endpoint| endpoint.host.clone()).collect(),
        })
    }

    /// Says of a failure which image it is about.
    pub(crate) fn error(&self, source: Failure) -> Error {
        source.of_image(&self.name)
    }
}

/// What a registry says of a blob that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stated {
    /// Its length in bytes.
    pub(crate) len: Option<u64>,
}

/// Tells whether a URL that was good before may have expired: signed ones do, and are refused in one of these ways.
fn may_have_expired(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 401 | 403 | 404 | 410)
}

fn ranged(url: Url, endpoint: &Endpoint, range: Option<&str>) -> Result<Request, Failure> {
    let request = Request::new(Method::GET, url, endpoint.tls.clone()).with_digest();
    let Some(range) = range else { return Ok(request) };
    Ok(request.header(RANGE, header_value(range)?))
}

/// Reads the length of the body that a GET would have.
pub(super) fn stated_len(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn read_manifest(response: Response) -> Result<Fetched, Failure> {
    let (place, headers) = (Place::from(&response.url), response.headers.clone());
    let bytes = read_body(response, DOCUMENT_LEN_MAX)?;
    check_stated_digest(&headers, &bytes, place)?;
    Ok(Fetched { media_type: media_type(&headers, &bytes), bytes })
}

pub(super) fn read_body(response: Response, limit: u64) -> Result<Vec<u8>, Failure> {
    let place = Place::from(&response.url);
    match response.body.read_limited(limit) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(Failure::TooLong { place, limit }),
        Err(source) => Err(Failure::Body { place, source }),
    }
}

/// Compares the answer with the digest that the registry states: something in between may have damaged it.
pub(super) fn check_stated_digest(headers: &HeaderMap, bytes: &[u8], place: Place) -> Result<(), Failure> {
    let stated = headers.get(CONTENT_DIGEST).and_then(|value| value.to_str().ok());
    let Some(Ok(expected @ Digest::Sha256(_))) = stated.map(str::parse) else { return Ok(()) };
    let found = Digest::of(bytes);
    if found == expected {
        return Ok(());
    }
    Err(Failure::Digest { place, expected: expected.to_string(), found: found.to_string() })
}

/// Takes the type that the header says, or else the document: some servers give them all as JSON.
fn media_type(headers: &HeaderMap, bytes: &[u8]) -> MediaType {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Typed {
        media_type: Option<MediaType>,
        manifests: Option<IgnoredAny>,
    }
    let header = || {
        let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        Some(MediaType::from(text.split(';').next()?.trim().to_owned()))
    };
    let own = |bytes| {
        let Typed { media_type, manifests } = serde_json::from_slice(bytes).ok()?;
        media_type.or(manifests.map(|_| MediaType::OCI_INDEX))
    };
    let header = header().filter(|header| header.document().is_some());
    header.or_else(|| own(bytes)).unwrap_or(MediaType::OCI_MANIFEST)
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        let Response { status, url, version, headers, body, sent, retries } = response;
        let host = url.host_str().unwrap_or_default();
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Self { status, host, version, headers, body, sent, retries }
    }
}
