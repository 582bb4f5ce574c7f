//! What is said about an image beside it: signatures, attestations, bills of materials.

use std::sync::atomic::Ordering;

use chunked::BlobDigest;
use reqwest::Url;
use reqwest::header::{HeaderMap, LINK};
use reqwest::{Method, StatusCode};

use super::Registries;
use super::failure::Failure;
use super::repository::{Repository, read_body};
use crate::auth::Scope;
use crate::descriptor::Descriptor;
use crate::error::Error;
use crate::http::{Place, Request, Response};
use crate::image::{DOCUMENT_LEN_MAX, Index, parse_json};
use crate::name::Name;

/// Most pages of a list; each has up to 4 MiB.
const PAGES_MAX: usize = 64;

impl Registries {
    /// Lists the manifests whose subject is `subject`, in the repository of `name`.
    ///
    /// Registries without that list are asked for the tag `ALGORITHM-HEX`, under which clients keep it there (OCI
    /// distribution-spec, "Referrers Tag Schema").
    ///
    /// # Errors
    /// When the registry does not answer, or answers with something else than an index.
    pub fn referrers(&self, name: &Name, subject: &BlobDigest) -> Result<Vec<Descriptor>, Error> {
        self.repository(name)?.referrers(subject)
    }
}

impl Repository {
    /// Lists the manifests whose subject is `subject`, as [`Registries::referrers`].
    pub(crate) fn referrers(&self, subject: &BlobDigest) -> Result<Vec<Descriptor>, Error> {
        if !self.has_no_lists.load(Ordering::Relaxed) {
            let list = self.listed_referrers(subject).map_err(|failure| self.error(failure))?;
            if let Some(list) = list {
                return Ok(list);
            }
            // A registry with lists never says that one is not there (OCI distribution-spec, "Listing Referrers").
            self.has_no_lists.store(true, Ordering::Relaxed);
        }
        self.tagged_referrers(subject)
    }

    /// Asks for the list; `None` when the registry has no such lists.
    fn listed_referrers(&self, subject: &BlobDigest) -> Result<Option<Vec<Descriptor>>, Failure> {
        let Some(endpoint) = self.endpoints.last() else { return Ok(None) };
        let mut next = Some(self.registries.url(endpoint, &format!("referrers/{subject}"))?);
        let mut found = Vec::new();
        for _ in 0..PAGES_MAX {
            let Some(url) = next else { break };
            let request = Request::new(Method::GET, url, endpoint.tls.clone());
            let response =
                self.registries.exchange(endpoint, &Scope::pull(&endpoint.repository), &request)?;
            match response.status {
                StatusCode::OK => {}
                // Without the list, registries know no such path, no such method, or take it for a mistake.
                StatusCode::NOT_FOUND
                | StatusCode::METHOD_NOT_ALLOWED
                | StatusCode::BAD_REQUEST
                | StatusCode::NOT_IMPLEMENTED => return Ok(None),
                _ => return Err(self.unexpected(endpoint, response)),
            }
            next = next_page(&response.headers, &response.url);
            found.extend(read_index(response)?.manifests);
        }
        Ok(Some(found))
    }

    fn tagged_referrers(&self, subject: &BlobDigest) -> Result<Vec<Descriptor>, Error> {
        let tag = referrers_tag(subject);
        let Some(fetched) = self.get_manifest(&tag)? else { return Ok(Vec::new()) };
        // Some tools keep a single manifest under such a tag: it is no list.
        Ok(parse_json(&fetched.bytes, DOCUMENT_LEN_MAX)
            .map_or_else(|_| Vec::new(), |index: Index| index.manifests))
    }
}

/// Returns the tag of the list of referrers where the registry keeps none (OCI distribution-spec, "Referrers Tag Schema").
/// The tags of cosign start with it.
pub(crate) fn referrers_tag(subject: &BlobDigest) -> String {
    format!("{}-{}", subject.0.algorithm(), subject.0.hex())
}

fn read_index(response: Response) -> Result<Index, Failure> {
    let place = Place::from(&response.url);
    let bytes = read_body(response, DOCUMENT_LEN_MAX)?;
    parse_json(&bytes, DOCUMENT_LEN_MAX).map_err(|source| Failure::List { place, source })
}

/// Reads `Link: <URL>; rel="next"` (RFC 8288). It does not lead to another host.
pub(super) fn next_page(headers: &HeaderMap, here: &Url) -> Option<Url> {
    let text = headers.get(LINK)?.to_str().ok()?;
    let (target, parameters) = text.trim().strip_prefix('<')?.split_once('>')?;
    let url = here.join(target).ok()?;
    (parameters.contains("next") && url.origin() == here.origin()).then_some(url)
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn pages_lead_to_the_next_of_the_same_host() {
        let here: Url = "https://h.io/v2/a/referrers/x".parse().unwrap();
        let next = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(LINK, HeaderValue::from_str(text).unwrap());
            next_page(&headers, &here).map(|url| url.to_string())
        };
        assert_eq!(
            next("</v2/a/referrers/x?n=2>; rel=\"next\"").as_deref(),
            Some("https://h.io/v2/a/referrers/x?n=2")
        );
        for text in ["</v2/a>; rel=\"prev\"", "<https://other.io/>; rel=next", "/v2/a", ""] {
            assert_eq!(next(text), None, "{text}");
        }
    }
}
