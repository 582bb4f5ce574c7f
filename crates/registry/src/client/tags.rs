//! The tags of a repository.

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;

use super::Registries;
use super::failure::Failure;
use super::referrers::next_page;
use super::repository::{Repository, read_body};
use crate::auth::Scope;
use crate::descriptor::null_is_empty;
use crate::error::Error;
use crate::http::{Place, Request};
use crate::image::{DOCUMENT_LEN_MAX, parse_json};
use crate::name::Name;

/// Tags asked for at once: what most registries send at most.
const PAGE_LEN: usize = 1000;

#[derive(Deserialize)]
struct Page {
    #[serde(default, deserialize_with = "null_is_empty")]
    tags: Vec<String>,
}

impl Registries {
    /// Lists the tags in the repository of `name`, at most `limit`, a million say.
    ///
    /// # Errors
    /// When the registry has more, does not answer, or answers with something else than a list.
    pub fn tags(&self, name: &Name, limit: usize) -> Result<Vec<String>, Error> {
        let repository = self.repository(name)?;
        let tags = repository.tags(limit).map_err(|failure| repository.error(failure))?;
        tags.ok_or_else(|| repository.error(Failure::TooManyTags { limit }))
    }
}

impl Repository {
    /// Lists the tags; `None` when there are more than `limit`. A repository that is not there has none.
    pub(crate) fn tags(&self, limit: usize) -> Result<Option<Vec<String>>, Failure> {
        let Some(endpoint) = self.endpoints.last() else { return Ok(Some(Vec::new())) };
        let mut next = Some(self.registries.url(endpoint, "tags/list")?);
        if let Some(url) = &mut next {
            url.query_pairs_mut().append_pair("n", &PAGE_LEN.min(limit.saturating_add(1)).to_string());
        }
        let mut tags = Vec::new();
        while let Some(url) = next {
            let request = Request::new(Method::GET, url, endpoint.tls.clone());
            let response =
                self.registries.exchange(endpoint, &Scope::pull(&endpoint.repository), &request)?;
            match response.status {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND => return Ok(Some(tags)),
                _ => return Err(self.unexpected(endpoint, response)),
            }
            let (place, headers) = (Place::from(&response.url), response.headers.clone());
            let here = response.url.clone();
            let bytes = read_body(response, DOCUMENT_LEN_MAX)?;
            let page: Page =
                parse_json(&bytes, DOCUMENT_LEN_MAX).map_err(|source| Failure::List { place, source })?;
            next = following(&headers, &here, &page);
            tags.extend(page.tags);
            if tags.len() > limit {
                return Ok(None);
            }
        }
        Ok(Some(tags))
    }
}

/// Returns where the list goes on. A page without a tag is the last: otherwise a registry could keep us for ever.
fn following(headers: &HeaderMap, here: &Url, page: &Page) -> Option<Url> {
    next_page(headers, here).filter(|_| !page.tags.is_empty())
}
