//! Uploads: at once, in pieces, or not at all where the blob is here already.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CONTENT_RANGE, HeaderName, LOCATION, RANGE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chunked::{BlobDigest, BlobRange};

use super::receive::receive;
use super::{DOCKER_CONTENT_DIGEST, blocking, failed, set};
use crate::app::App;
use crate::error::{Error, at_path};
use crate::problem::{Code, Problem};
use crate::ranges::parse_content_range;
use crate::route::{Query, RepositoryName};
use crate::uploads::{NotThere, Upload, UploadId};

const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// Which upload a request goes on with.
#[derive(Debug, Clone)]
pub(super) struct Target {
    repository: RepositoryName,
    id: UploadId,
}

impl Target {
    pub(super) fn new(repository: RepositoryName, id: &str) -> Result<Self, Problem> {
        let id = id.parse().map_err(|_| unknown())?;
        Ok(Self { repository, id })
    }
}

/// Begins an upload, does all of it, or takes the blob from another repository.
pub(super) async fn begin(
    app: Arc<App>,
    name: RepositoryName,
    query: Query,
    body: Body,
) -> Result<Response, Problem> {
    if let Some(digest) = query.mount
        && mount(&app, &name, query.from, digest).await?
    {
        return Ok(created(&name, &digest));
    }
    let shared = Arc::clone(&app);
    let staged = blocking(move || shared.repositories.stage()).await?;
    let upload = Upload::new(staged);
    if let Some(digest) = query.digest {
        // Not to be broken off halfway when the client goes: what is written must be counted or gone.
        let work = async move {
            let (upload, received) = receive(body, upload, None).await;
            received?;
            commit(app, name, upload.ok_or_else(unknown)?, digest).await
        };
        return detached(work).await;
    }
    let id = app.uploads.begin(&name, upload).map_err(|source| Error::Random { source })?;
    let id = id.ok_or_else(|| {
        let message = "too many uploads have begun and not ended";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyRequests, message)
    })?;
    Ok(accepted(StatusCode::ACCEPTED, &Target { repository: name, id }, 0))
}

/// Takes a blob from another repository; `false` when it does not have it.
async fn mount(
    app: &Arc<App>,
    name: &RepositoryName,
    from: Option<RepositoryName>,
    digest: BlobDigest,
) -> Result<bool, Problem> {
    let (app, name) = (Arc::clone(app), name.clone());
    blocking(move || {
        let Some(from) = from else { return Ok(false) };
        let Some(source) = app.repositories.find(&from)? else { return Ok(false) };
        if source.blob(&digest)?.is_none() {
            return Ok(false);
        }
        app.repositories.create(&name)?.mount(&source, &digest)
    })
    .await
}

/// Says how far an upload has come.
pub(super) fn status(app: &App, target: &Target) -> Result<Response, Problem> {
    let len = app.uploads.len(&target.repository, target.id).map_err(Problem::from)?;
    Ok(accepted(StatusCode::NO_CONTENT, target, len))
}

/// Gives an upload up.
pub(super) fn cancel(app: &App, target: &Target) -> Result<Response, Problem> {
    app.uploads.take(&target.repository, target.id)?;
    app.uploads.give_back(target.id, None);
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Adds a piece.
pub(super) async fn patch(
    app: Arc<App>,
    head: &Parts,
    target: Target,
    body: Body,
) -> Result<Response, Problem> {
    let range = content_range(head)?;
    let upload = take(&app, &target, range)?;
    detached(async move {
        let (upload, received) = receive(body, upload, range).await;
        let len = upload.as_ref().map_or(0, Upload::len);
        app.uploads.give_back(target.id, upload);
        received?;
        Ok(accepted(StatusCode::ACCEPTED, &target, len))
    })
    .await
}

/// Adds the last piece, if there is one, and makes the blob appear.
pub(super) async fn finish(
    app: Arc<App>,
    head: &Parts,
    target: Target,
    query: Query,
    body: Body,
) -> Result<Response, Problem> {
    let digest = query.digest.ok_or_else(|| {
        let message = "the parameter `digest` is missing";
        Problem::new(StatusCode::BAD_REQUEST, Code::DigestInvalid, message)
    })?;
    let range = content_range(head)?;
    let upload = take(&app, &target, range)?;
    detached(async move {
        let (upload, received) = receive(body, upload, range).await;
        if let Err(problem) = received {
            app.uploads.give_back(target.id, upload);
            return Err(problem);
        }
        // Right or wrong, the upload has ended.
        app.uploads.give_back(target.id, None);
        commit(app, target.repository, upload.ok_or_else(unknown)?, digest).await
    })
    .await
}

/// Makes a blob appear if it is what the client says.
async fn commit(
    app: Arc<App>,
    name: RepositoryName,
    upload: Upload,
    digest: BlobDigest,
) -> Result<Response, Problem> {
    let own = name.clone();
    let is_right = blocking(move || {
        let written = || at_path("read", app.repositories.root().path());
        let Some(staged) = upload.finish(&digest).map_err(written())? else { return Ok(false) };
        app.repositories.create(&own)?.publish(staged, &digest)?;
        Ok(true)
    });
    match is_right.await? {
        true => Ok(created(&name, &digest)),
        false => {
            let message = format!("what was uploaded does not have the digest {digest}");
            Err(Problem::new(StatusCode::BAD_REQUEST, Code::DigestInvalid, message))
        }
    }
}

/// Takes an upload that a piece fits to.
fn take(app: &App, target: &Target, range: Option<BlobRange>) -> Result<Upload, Problem> {
    let upload = app.uploads.take(&target.repository, target.id)?;
    let len = upload.len();
    match range {
        Some(range) if range.start() != len => {
            app.uploads.give_back(target.id, Some(upload));
            Err(out_of_order(target, len))
        }
        _ => Ok(upload),
    }
}

/// Runs what must come to its end even when nobody waits for it any more.
async fn detached(
    work: impl Future<Output = Result<Response, Problem>> + Send + 'static,
) -> Result<Response, Problem> {
    tokio::spawn(work).await.map_err(|_| failed())?
}

fn content_range(head: &Parts) -> Result<Option<BlobRange>, Problem> {
    let Some(header) = head.headers.get(CONTENT_RANGE) else { return Ok(None) };
    let range = header.to_str().ok().and_then(parse_content_range);
    range.map(Some).ok_or_else(|| {
        let message = "the header `Content-Range` is not of the form `FIRST-LAST`";
        Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, Code::BlobUploadInvalid, message)
    })
}

fn accepted(status: StatusCode, target: &Target, len: u64) -> Response {
    (status, place(target, len)).into_response()
}

/// Says where an upload goes on, and what is there.
fn place(Target { repository, id }: &Target, len: u64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    set(&mut headers, LOCATION, &format!("/v2/{repository}/blobs/uploads/{id}"));
    // Nothing can only be written as its first byte (distribution-spec, and what every registry does).
    set(&mut headers, RANGE, &format!("0-{}", len.saturating_sub(1)));
    set(&mut headers, UPLOAD_UUID, &id.to_string());
    headers
}

fn created(name: &RepositoryName, digest: &BlobDigest) -> Response {
    let mut headers = HeaderMap::new();
    set(&mut headers, LOCATION, &format!("/v2/{name}/blobs/{digest}"));
    set(&mut headers, DOCKER_CONTENT_DIGEST, &digest.to_string());
    (StatusCode::CREATED, headers).into_response()
}

fn out_of_order(target: &Target, len: u64) -> Problem {
    let message = format!("the next piece of the upload starts at byte {len}");
    let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, Code::BlobUploadInvalid, message);
    let headers = place(target, len).into_iter().filter_map(|(name, value)| Some((name?, value)));
    headers.fold(problem, |problem, (name, value)| problem.with(name, value))
}

fn unknown() -> Problem {
    let message = "there is no such upload, or no more";
    Problem::new(StatusCode::NOT_FOUND, Code::BlobUploadUnknown, message)
}

impl From<NotThere> for Problem {
    fn from(why: NotThere) -> Self {
        match why {
            NotThere::Unknown => unknown(),
            NotThere::Busy => {
                let message = "another request writes to the upload";
                Self::new(StatusCode::CONFLICT, Code::BlobUploadInvalid, message)
            }
        }
    }
}
