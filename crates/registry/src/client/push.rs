//! What is brought to a repository.

use bytes::Bytes;
use chunked::BlobDigest;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RANGE};
use reqwest::{Method, StatusCode, Url};

use super::endpoint::Endpoint;
use super::exchange::header_value;
use super::failure::Failure;
use super::repository::{Repository, stated_len};
use crate::auth::Scope;
use crate::http::{Place, Request, Response};

/// The least that a registry takes as a piece of an upload (OCI distribution-spec, "Pushing a blob in chunks").
const CHUNK_MIN_LEN: HeaderName = HeaderName::from_static("oci-chunk-min-length");

/// An upload that a registry has begun to take.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// Where the next piece goes.
    location: Url,
    /// Bytes that the registry has.
    len: u64,
    /// The least a piece may have, in bytes, but for the last.
    pub(crate) piece_len_min: u64,
}

impl Repository {
    /// Returns the place that is written to.
    pub(super) fn target(&self) -> Result<&Endpoint, Failure> {
        self.endpoints.iter().find(|endpoint| endpoint.roles.push).ok_or(Failure::ReadOnly)
    }

    pub(super) fn push(&self, scope: &Scope, request: &Request) -> Result<Response, Failure> {
        self.registries.exchange(self.target()?, scope, request)
    }

    pub(super) fn request(&self, method: Method, url: Url) -> Result<Request, Failure> {
        Ok(Request::new(method, url, self.target()?.tls.clone()))
    }

    pub(super) fn scope(&self) -> Result<Scope, Failure> {
        Ok(Scope::push(&self.target()?.repository))
    }

    /// Tells whether the registry that is written to has a blob of this digest and length.
    pub(crate) fn holds_blob(&self, digest: &BlobDigest, len: u64) -> Result<bool, Failure> {
        let endpoint = self.target()?;
        let url = self.registries.url(endpoint, &format!("blobs/{digest}"))?;
        let response = self.push(&self.scope()?, &self.request(Method::HEAD, url)?.without_redirects())?;
        match response.status.as_u16() {
            200 => Ok(stated_len(&response.headers).is_none_or(|stated| stated == len)),
            300..400 => Ok(true),
            // Of a registry that refuses HEAD, it can only be sent.
            404 | 405 => Ok(false),
            _ => Err(self.unexpected(endpoint, response)),
        }
    }

    /// Asks the registry to take a blob from another of its repositories; `false` when it does not.
    pub(crate) fn mount(&self, digest: &BlobDigest, from: &str) -> Result<bool, Failure> {
        let endpoint = self.target()?;
        let mut url = self.registries.url(endpoint, "blobs/uploads/")?;
        url.query_pairs_mut().append_pair("mount", &digest.to_string()).append_pair("from", from);
        let scope = Scope::mount(&endpoint.repository, from);
        let response = match self.push(&scope, &self.request(Method::POST, url)?) {
            Ok(response) => response,
            // It may be read but not taken from there; bringing it here may still work.
            Err(Failure::Denied { .. }) => return Ok(false),
            Err(failure) => return Err(failure),
        };
        match response.status {
            StatusCode::CREATED => Ok(true),
            StatusCode::ACCEPTED => {
                // The registry expects the bytes instead.
                self.cancel(&self.session(&response)?);
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    /// Starts an upload.
    pub(crate) fn start_upload(&self) -> Result<Session, Failure> {
        let url = self.registries.url(self.target()?, "blobs/uploads/")?;
        let response = self.push(&self.scope()?, &self.request(Method::POST, url)?)?;
        match response.status {
            StatusCode::ACCEPTED => self.session(&response),
            _ => Err(self.unexpected(self.target()?, response)),
        }
    }

    /// Uploads a blob in one piece, again from the start where that breaks off.
    pub(crate) fn upload(&self, digest: &BlobDigest, bytes: &Bytes) -> Result<(), Failure> {
        let mut backoff = self.registries.http()?.backoff();
        loop {
            let session = self.start_upload()?;
            match self.put(&session, digest, bytes.clone()) {
                Err(failure) if failure.is_transient() && backoff.wait(None) => {
                    self.cancel(&session);
                    if self.holds_blob(digest, bytes.len() as u64)? {
                        return Ok(());
                    }
                }
                other => return other,
            }
        }
    }

    /// Sends the next piece of an upload; where the connection breaks, what is left of it.
    pub(crate) fn send_piece(&self, session: &mut Session, piece: &Bytes) -> Result<(), Failure> {
        let start = session.len;
        let end = start.saturating_add(piece.len() as u64);
        let mut backoff = self.registries.http()?.backoff();
        while session.len < end {
            let done = session.len.checked_sub(start).and_then(|done| usize::try_from(done).ok());
            // The registry lost what was taken before, and nobody has it any more.
            let rest = done
                .and_then(|done| (done < piece.len()).then(|| piece.slice(done..)))
                .ok_or(Failure::Lost)?;
            match self.patch(session, rest) {
                Err(failure) if failure.is_transient() && backoff.wait(None) => self.ask_how_far(session)?,
                other => other?,
            }
        }
        Ok(())
    }

    fn patch(&self, session: &mut Session, piece: Bytes) -> Result<(), Failure> {
        let end = session.len.saturating_add(piece.len() as u64);
        let range = header_value(&format!("{}-{}", session.len, end.saturating_sub(1)))?;
        let request = self
            .request(Method::PATCH, session.location.clone())?
            .header(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))
            .header(CONTENT_RANGE, range)
            .with_body(piece)
            .once();
        let response = self.push(&self.scope()?, &request)?;
        if !matches!(response.status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT | StatusCode::CREATED) {
            return Err(self.unexpected(self.target()?, response));
        }
        session.location = self.location(&response).unwrap_or_else(|_| session.location.clone());
        session.len = end;
        response.body.drain();
        Ok(())
    }

    /// Asks how much of an upload the registry has.
    fn ask_how_far(&self, session: &mut Session) -> Result<(), Failure> {
        let response = self.push(&self.scope()?, &self.request(Method::GET, session.location.clone())?)?;
        if !response.status.is_success() {
            // Some registries give up what broke off.
            return Err(Failure::Lost);
        }
        session.location = self.location(&response).unwrap_or_else(|_| session.location.clone());
        session.len = received(&response.headers);
        response.body.drain();
        Ok(())
    }

    /// Ends an upload of which the registry has everything.
    pub(crate) fn finish_upload(&self, session: &Session, digest: &BlobDigest) -> Result<(), Failure> {
        let mut backoff = self.registries.http()?.backoff();
        loop {
            match self.put(session, digest, Bytes::new()) {
                Ok(()) => return Ok(()),
                // The answer to a try that worked may have been lost.
                Err(_) if self.holds_blob(digest, session.len)? => return Ok(()),
                Err(failure) if failure.is_transient() && backoff.wait(None) => {}
                Err(failure) => return Err(failure),
            }
        }
    }

    fn put(&self, session: &Session, digest: &BlobDigest, bytes: Bytes) -> Result<(), Failure> {
        let mut url = session.location.clone();
        url.query_pairs_mut().append_pair("digest", &digest.to_string());
        let request = self
            .request(Method::PUT, url)?
            .header(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))
            .with_body(bytes)
            .once();
        let response = self.push(&self.scope()?, &request)?;
        if !response.status.is_success() {
            return Err(self.unexpected(self.target()?, response));
        }
        response.body.drain();
        Ok(())
    }

    /// Gives an upload up. Registries forget those that nobody ends, so it does not matter whether this works.
    pub(crate) fn cancel(&self, session: &Session) {
        let cancel = || {
            let request = self.request(Method::DELETE, session.location.clone())?.once();
            self.push(&self.scope()?, &request)
        };
        if let Ok(response) = cancel() {
            response.body.drain();
        }
    }

    fn session(&self, response: &Response) -> Result<Session, Failure> {
        let piece_len_min =
            response.headers.get(CHUNK_MIN_LEN).and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(Session {
            location: self.location(response)?,
            len: 0,
            piece_len_min: piece_len_min.unwrap_or_default(),
        })
    }

    /// Reads where an upload goes on.
    fn location(&self, response: &Response) -> Result<Url, Failure> {
        let place = Place::from(&response.url);
        let text = response.headers.get(LOCATION).and_then(|value| value.to_str().ok());
        let url = text.and_then(|text| response.url.join(text).ok());
        let mut url = url.ok_or_else(|| Failure::NoLocation { place: place.clone() })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Failure::NoLocation { place });
        }
        // Registries behind a proxy that ends TLS often do not know that it is there.
        if response.url.scheme() == "https" && url.host() == response.url.host() {
            let _ = url.set_scheme("https");
        }
        Ok(url)
    }
}

/// Reads how many bytes of an upload a registry has from `Range: 0-LAST`, which nothing has where there are none.
fn received(headers: &HeaderMap) -> u64 {
    let text = headers.get(RANGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let last: Option<u64> =
        text.trim_start_matches("bytes=").split_once('-').and_then(|(_, last)| last.parse().ok());
    // Of an upload without a byte, registries say `0-0`, as of one with a single byte. No piece is that short.
    last.filter(|last| *last > 0).map_or(0, |last| last.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn received_bytes_are_counted() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, HeaderValue::from_str(text).unwrap());
            received(&headers)
        };
        assert_eq!((read("0-9"), read("bytes=0-9"), read("0-0"), read("x")), (10, 10, 0, 0));
        assert_eq!(received(&HeaderMap::new()), 0);
    }
}
