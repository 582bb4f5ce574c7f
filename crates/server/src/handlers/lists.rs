//! Lists: of repositories, of tags, of what refers to a manifest.

use std::sync::Arc;

use axum::http::header::{CONTENT_TYPE, HeaderName, LINK};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use chunked::BlobDigest;
use form_urlencoded::Serializer;
use registry::{Index, MediaType};
use serde_json::json;

use super::{blocking, json, repository, set};
use crate::app::App;
use crate::problem::Problem;
use crate::route::{Page, Query, RepositoryName};

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// Lists the repositories.
pub(super) async fn catalog(app: Arc<App>, page: Page) -> Result<Response, Problem> {
    let names = blocking(move || app.repositories.names()).await?;
    let (shown, is_cut) = page.of(names.iter().map(RepositoryName::as_str));
    let body = json!({ "repositories": shown });
    let mut response = json(StatusCode::OK, body.to_string());
    link(&mut response, "/v2/_catalog", &shown, is_cut);
    Ok(response)
}

/// Lists the tags of a repository.
pub(super) async fn tags(app: Arc<App>, name: RepositoryName, page: Page) -> Result<Response, Problem> {
    let repository = repository(&app, &name).await?;
    let contents = blocking(move || repository.contents()).await?;
    let tags = contents.tags();
    let (shown, is_cut) = page.of(tags.keys().copied());
    let mut response = json(StatusCode::OK, json!({ "name": name.as_str(), "tags": shown }).to_string());
    link(&mut response, &format!("/v2/{name}/tags/list"), &shown, is_cut);
    Ok(response)
}

/// Says where a list goes on.
fn link(response: &mut Response, path: &str, shown: &[&str], is_cut: bool) {
    if let Some(last) = shown.last().filter(|_| is_cut) {
        let len = shown.len().to_string();
        let query = Serializer::new(String::new()).append_pair("n", &len).append_pair("last", last).finish();
        set(response.headers_mut(), LINK, &format!("<{path}?{query}>; rel=\"next\""));
    }
}

/// Lists the manifests that are about another one. To be about something that is not here, or not yet, is allowed.
pub(super) async fn referrers(
    app: Arc<App>,
    name: RepositoryName,
    subject: BlobDigest,
    query: Query,
) -> Result<Response, Problem> {
    let found = blocking(move || match app.repositories.find(&name)? {
        Some(repository) => Ok(repository.contents()?.referrers(&subject)),
        None => Ok(Vec::new()),
    });
    let mut list = found.await?;
    if let Some(wanted) = &query.artifact_type {
        list.retain(|referrer| referrer.artifact_type.as_ref() == Some(wanted));
    }
    let body = serde_json::to_string(&Index::of(list)).unwrap_or_default();
    let mut response = json(StatusCode::OK, body);
    set(response.headers_mut(), CONTENT_TYPE, MediaType::OCI_INDEX.as_str());
    if query.artifact_type.is_some() {
        response.headers_mut().insert(FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
    }
    Ok(response)
}
