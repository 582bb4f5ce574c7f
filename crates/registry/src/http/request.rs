//! What is sent.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};

use super::tls::{Tls, Verification};

/// A request. Cloned and sent again as often as needed: bodies share their bytes.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    /// Further headers, for the host of `url` only.
    private: HeaderMap,
    /// The credentials, for the host of `url` only.
    pub(super) authorization: Option<HeaderValue>,
    pub(super) body: Bytes,
    pub(super) tls: Arc<Tls>,
    pub(super) once: bool,
    pub(super) follow: bool,
    pub(super) has_digest: bool,
}

impl Request {
    pub(crate) fn new(method: Method, url: Url, tls: Arc<Tls>) -> Self {
        let headers = HeaderMap::new();
        Self {
            method,
            url,
            headers,
            private: HeaderMap::new(),
            authorization: None,
            body: Bytes::new(),
            tls,
            once: false,
            follow: true,
            has_digest: false,
        }
    }

    /// Adds a header, in place of another of that name.
    #[must_use]
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Adds headers that are not sent to where redirects lead, if that is another host.
    #[must_use]
    pub(crate) fn with_private(mut self, headers: HeaderMap) -> Self {
        self.private = headers;
        self
    }

    /// Adds credentials. They are not sent to where redirects lead, if that is another host.
    #[must_use]
    pub(crate) fn authorized(mut self, credentials: Option<HeaderValue>) -> Self {
        self.authorization = credentials.map(|mut value| {
            value.set_sensitive(true);
            value
        });
        self
    }

    /// Adds a body.
    #[must_use]
    pub(crate) fn with_body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }

    /// Leaves it to the caller to try again: a second request could do something else than the first.
    #[must_use]
    pub(crate) fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// Takes a redirect as the answer.
    #[must_use]
    pub(crate) fn without_redirects(mut self) -> Self {
        self.follow = false;
        self
    }

    /// Promises that the answer will be checked against a digest, so that it does not matter who gives it.
    #[must_use]
    pub(crate) fn with_digest(mut self) -> Self {
        self.has_digest = true;
        self
    }

    /// Tells whether TLS may be given up on the way.
    pub(super) fn may_be_plain(&self) -> bool {
        self.has_digest || self.tls.verification == Verification::Off
    }

    /// Returns where it goes to.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the headers that go to `target`.
    pub(super) fn headers_for(&self, target: &Url) -> HeaderMap {
        let mut headers = self.headers.clone();
        if target.origin() != self.url.origin() {
            return headers;
        }
        headers.extend(self.private.clone());
        if let Some(credentials) = &self.authorization {
            headers.insert(AUTHORIZATION, credentials.clone());
        }
        headers
    }
}
