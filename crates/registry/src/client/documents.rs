//! Manifests and indexes of the repository that is written to.

use bytes::Bytes;
use chunked::BlobDigest;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};

use super::exchange::header_value;
use super::failure::Failure;
use super::repository::{ACCEPTED, CONTENT_DIGEST, Repository, check_stated_digest};
use crate::descriptor::Descriptor;
use crate::http::Place;

/// Says which manifest a registry now lists another one for (OCI distribution-spec, "Pushing Manifests with Subject").
const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// What a registry did with a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listing {
    /// It lists it among the referrers of its subject.
    Done,
    /// It does not, or the manifest has no subject.
    NotDone,
}

impl Repository {
    /// Writes a manifest or index under a tag or its digest.
    pub(crate) fn put_manifest(
        &self,
        which: &str,
        descriptor: &Descriptor,
        bytes: &[u8],
    ) -> Result<Listing, Failure> {
        let endpoint = self.target()?;
        let url = self.registries.url(endpoint, &format!("manifests/{which}"))?;
        let request = self
            .request(Method::PUT, url)?
            .header(CONTENT_TYPE, header_value(descriptor.media_type.as_str())?)
            .with_body(Bytes::copy_from_slice(bytes));
        let response = self.push(&self.scope()?, &request)?;
        if !response.status.is_success() {
            return Err(self.unexpected(endpoint, response));
        }
        check_stated_digest(&response.headers, bytes, Place::from(&response.url))?;
        let listing = if response.headers.contains_key(SUBJECT) { Listing::Done } else { Listing::NotDone };
        response.body.drain();
        Ok(listing)
    }

    /// Returns the digest of what the registry that is written to has under a tag or digest; `None` when it has nothing,
    /// or does not say.
    pub(crate) fn held_manifest(&self, which: &str) -> Result<Option<BlobDigest>, Failure> {
        let endpoint = self.target()?;
        let url = self.registries.url(endpoint, &format!("manifests/{which}"))?;
        let request = self.request(Method::HEAD, url)?.header(ACCEPT, HeaderValue::from_static(ACCEPTED));
        let response = self.push(&self.scope()?, &request)?;
        match response.status.as_u16() {
            200 => {
                Ok(response.headers.get(CONTENT_DIGEST).and_then(|value| value.to_str().ok()?.parse().ok()))
            }
            // Of a registry that refuses HEAD, it can only be sent.
            404 | 405 => Ok(None),
            _ => Err(self.unexpected(endpoint, response)),
        }
    }

    /// Removes a manifest or index. Many registries do not, or not without being told to.
    pub(crate) fn delete_manifest(&self, digest: &BlobDigest) -> Result<(), Failure> {
        let endpoint = self.target()?;
        let url = self.registries.url(endpoint, &format!("manifests/{digest}"))?;
        let response = self.push(&self.scope()?, &self.request(Method::DELETE, url)?)?;
        if !response.status.is_success() {
            return Err(self.unexpected(endpoint, response));
        }
        response.body.drain();
        Ok(())
    }
}
