//! What each request does.

mod blob;
mod lists;
mod manifest;
mod receive;
mod upload;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chunked::BlobDigest;
use http_body_util::BodyExt;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::app::{Access, App};
use crate::error::Error;
use crate::policy::{IndexPolicy, Wanted};
use crate::problem::{Code, Problem};
use crate::repository::Repository;
use crate::route::{Query, RepositoryName, Route};

/// How long a client may send nothing of what it said it would send.
const STALL_MAX: Duration = Duration::from_secs(30);

pub(crate) const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const DISTRIBUTION_API: HeaderName = HeaderName::from_static("docker-distribution-api-version");
/// What Quay says of itself, so that clients need not try whether a sparse index is taken.
const SPARSE_SUPPORT: HeaderName = HeaderName::from_static("x-sparse-manifest-support");
const REQUIRED_ARCHITECTURES: HeaderName = HeaderName::from_static("x-required-architectures");
/// The policy itself: Quay's words cannot tell variants, nor `none` from an empty list, which to Quay means all.
const INDEX_PLATFORMS: HeaderName = HeaderName::from_static("morsel-index-platforms");

/// Answers a request.
pub(crate) async fn answer(State(app): State<Arc<App>>, request: Request) -> Response {
    let mut response = handle(app, request).await.unwrap_or_else(IntoResponse::into_response);
    response.headers_mut().insert(DISTRIBUTION_API, HeaderValue::from_static("registry/2.0"));
    response
}

async fn handle(app: Arc<App>, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let route = Route::parse(head.uri.path())?;
    let query = Query::parse(head.uri.query().unwrap_or_default())?;
    let is_read = matches!(head.method, Method::GET | Method::HEAD);
    if !is_read && app.access == Access::ReadOnly {
        return Err(Problem::method("GET, HEAD"));
    }
    match route {
        Route::Base if is_read => Ok(base(&app.policy)),
        Route::Catalog if is_read => lists::catalog(app, query.page).await,
        Route::Tags(name) if is_read => lists::tags(app, name, query.page).await,
        Route::Referrers(name, digest) if is_read => lists::referrers(app, name, digest, query).await,
        Route::Base | Route::Catalog | Route::Tags(_) | Route::Referrers(..) => {
            Err(Problem::method("GET, HEAD"))
        }
        Route::Manifest(name, reference) => match head.method {
            Method::GET | Method::HEAD => manifest::get(app, &head, name, reference).await,
            Method::PUT => manifest::put(app, &head, name, reference, body).await,
            Method::DELETE => manifest::delete(app, name, reference).await,
            _ => Err(Problem::method("GET, HEAD, PUT, DELETE")),
        },
        Route::Blob(name, digest) => match head.method {
            Method::GET | Method::HEAD => blob::get(app, &head, name, digest).await,
            Method::DELETE => blob::delete(app, name, digest).await,
            _ => Err(Problem::method("GET, HEAD, DELETE")),
        },
        Route::Uploads(name) => match head.method {
            Method::POST => upload::begin(app, name, query, body).await,
            _ => Err(Problem::method("POST")),
        },
        Route::Upload(name, id) => {
            let target = upload::Target::new(name, &id)?;
            match head.method {
                Method::GET | Method::HEAD => upload::status(&app, &target),
                Method::PATCH => upload::patch(app, &head, target, body).await,
                Method::PUT => upload::finish(app, &head, target, query, body).await,
                Method::DELETE => upload::cancel(&app, &target),
                _ => Err(Problem::method("GET, HEAD, PATCH, PUT, DELETE")),
            }
        }
    }
}

/// Says that this is a registry, and what it thinks of sparse indexes.
fn base(policy: &IndexPolicy) -> Response {
    let mut response = json(StatusCode::OK, "{}".to_owned());
    let supports = if *policy == IndexPolicy::All { "false" } else { "true" };
    response.headers_mut().insert(SPARSE_SUPPORT, HeaderValue::from_static(supports));
    let own = HeaderValue::try_from(policy.to_string()).ok().map(|value| (INDEX_PLATFORMS, value));
    response.headers_mut().extend(own);
    if let IndexPolicy::Only(wanted) = policy {
        let platforms = wanted.iter().filter_map(|wanted| match wanted {
            Wanted::Platform(selector) => selector.to_string().split('/').nth(1).map(str::to_owned),
            Wanted::NoPlatform => None,
        });
        let architectures = platforms.collect::<Vec<_>>().join(",");
        response
            .headers_mut()
            .extend(HeaderValue::try_from(architectures).ok().map(|value| (REQUIRED_ARCHITECTURES, value)));
    }
    response
}

fn json(status: StatusCode, body: String) -> Response {
    ([(CONTENT_TYPE, "application/json")], body).with_status(status)
}

trait WithStatus: IntoResponse + Sized {
    fn with_status(self, status: StatusCode) -> Response {
        (status, self).into_response()
    }
}

impl<T: IntoResponse> WithStatus for T {}

/// Does what touches files on a thread that may wait for them.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Problem> {
    Ok(spawn_blocking(work).await.map_err(|_| failed())??)
}

/// Says that a thread was lost. It has written why to standard error.
fn failed() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Unknown, "the registry failed")
}

/// Opens a repository that has to be there.
async fn repository(app: &Arc<App>, name: &RepositoryName) -> Result<Repository, Problem> {
    let (shared, own) = (Arc::clone(app), name.clone());
    let found = blocking(move || shared.repositories.find(&own)).await?;
    found.ok_or_else(|| Problem::no_repository(name))
}

/// Takes the next bytes of a request; `None` at its end.
async fn next_bytes(body: &mut Body) -> Result<Option<Bytes>, Problem> {
    loop {
        let frame = timeout(STALL_MAX, body.frame()).await.map_err(|_| {
            let message = format!("nothing came for {} seconds", STALL_MAX.as_secs());
            Problem::new(StatusCode::REQUEST_TIMEOUT, Code::BlobUploadInvalid, message)
        })?;
        match frame.transpose() {
            Ok(None) => return Ok(None),
            // What is no data is a trailer.
            Ok(Some(frame)) => {
                if let Ok(bytes) = frame.into_data() {
                    return Ok(Some(bytes));
                }
            }
            Err(_) => {
                let message = "the request broke off";
                return Err(Problem::new(StatusCode::BAD_REQUEST, Code::BlobUploadInvalid, message));
            }
        }
    }
}

/// Quotes a digest as the tag of what it names: what has a digest never changes.
fn etag(digest: &BlobDigest) -> String {
    format!("\"{digest}\"")
}

/// Tells whether the client has it already (RFC 9110, section 13.1.2), and then says only that.
fn not_modified(head: &Parts, digest: &BlobDigest) -> Option<Response> {
    let tag = etag(digest);
    let named = |value: &HeaderValue| {
        let text = value.to_str().unwrap_or_default();
        text.split(',').map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == tag)
    };
    let is_known = head.headers.get_all(IF_NONE_MATCH).iter().any(named);
    is_known.then(|| {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        set(response.headers_mut(), ETAG, &tag);
        set(response.headers_mut(), DOCKER_CONTENT_DIGEST, &digest.to_string());
        response
    })
}

/// Sets a header whose value was made here.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use axum::body::HttpBody;
    use http_body::Frame;
    use tokio::time::Instant;

    use super::*;

    /// A client that sends two bytes and then nothing.
    struct Stalled(bool);

    impl HttpBody for Stalled {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match std::mem::replace(&mut self.0, true) {
                false => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"ab"))))),
                true => Poll::Pending,
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_nothing_is_given_up() {
        let (mut body, started) = (Body::new(Stalled(false)), Instant::now());
        assert_eq!(next_bytes(&mut body).await.unwrap(), Some(Bytes::from_static(b"ab")));
        let problem = next_bytes(&mut body).await.unwrap_err();
        assert_eq!(problem.into_response().status(), StatusCode::REQUEST_TIMEOUT);
        assert!(started.elapsed() >= STALL_MAX);
    }
}
