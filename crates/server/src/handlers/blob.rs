//! Blobs: whole, in part, in several parts.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, RANGE,
    RETRY_AFTER,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chunked::{BlobDigest, BlobRange};

use super::{DOCKER_CONTENT_DIGEST, blocking, etag, not_modified, repository, set};
use crate::app::{App, Serves};
use crate::bodies::{Sending, Sent};
use crate::body::{FileBody, Piece};
use crate::problem::{Code, Problem};
use crate::ranges::{self, Wanted};
use crate::repository::{BlobDeletion, StoredBlob};
use crate::route::RepositoryName;

const OCTETS: &str = "application/octet-stream";

/// Sends a blob, or what is wanted of it.
pub(super) async fn get(
    app: Arc<App>,
    head: &Parts,
    name: RepositoryName,
    digest: BlobDigest,
) -> Result<Response, Problem> {
    let repository = repository(&app, &name).await?;
    let sending = head.extensions.get::<Sending>().cloned().unwrap_or_default();
    let sent = match head.method {
        Method::HEAD => None,
        _ => Some(sending.begin(&app.bodies).await.ok_or_else(too_many)?),
    };
    let blob = blocking(move || repository.blob(&digest)).await?.ok_or_else(|| unknown(&name, &digest))?;
    if let Some(response) = not_modified(head, &digest) {
        return Ok(response);
    }
    let mut response = match sent {
        None => sized(StatusCode::OK, blob.len, Body::empty(), OCTETS),
        Some(sent) => send((blob, sent), wanted(head, &digest), &digest, app.serves)?,
    };
    let headers = response.headers_mut();
    set(headers, DOCKER_CONTENT_DIGEST, &digest.to_string());
    set(headers, ETAG, &etag(&digest));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // What has a digest never changes.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=31536000, immutable"));
    Ok(response)
}

/// Deletes a blob that nothing needs.
pub(super) async fn delete(
    app: Arc<App>,
    name: RepositoryName,
    digest: BlobDigest,
) -> Result<Response, Problem> {
    let repository = repository(&app, &name).await?;
    match blocking(move || repository.delete_blob(&digest)).await? {
        BlobDeletion::Deleted => Ok(StatusCode::ACCEPTED.into_response()),
        BlobDeletion::NotThere => Err(unknown(&name, &digest)),
        BlobDeletion::Needed(by) => {
            let message =
                format!("`{name}` needs {digest} for its manifest {by}, which has to be deleted first");
            Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, message))
        }
    }
}

fn too_many() -> Problem {
    let message = "too many blobs are being sent at the moment";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyRequests, message).with(RETRY_AFTER, "5")
}

fn unknown(name: &RepositoryName, digest: &BlobDigest) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        Code::BlobUnknown,
        format!("`{name}` does not have the blob {digest}"),
    )
}

/// Returns the header that says what is wanted, unless it is about another version of the blob than there is.
fn wanted<'a>(head: &'a Parts, digest: &BlobDigest) -> Option<&'a str> {
    let is_this = head.headers.get(IF_RANGE).is_none_or(|tag| tag.as_bytes() == etag(digest).as_bytes());
    head.headers.get(RANGE).filter(|_| is_this)?.to_str().ok()
}

fn send(
    (blob, sent): (StoredBlob, Sent),
    range: Option<&str>,
    digest: &BlobDigest,
    serves: Serves,
) -> Result<Response, Problem> {
    let StoredBlob { file, len } = blob;
    let wanted = range.map_or(Wanted::Whole, |header| ranges::parse(header, len));
    Ok(match limited(wanted, serves)? {
        Wanted::Whole => {
            let body = FileBody::new(file, [Piece::Stretch(BlobRange::saturating(0, len))]).with(sent);
            sized(StatusCode::OK, len, Body::new(body), OCTETS)
        }
        Wanted::NotSatisfiable => {
            let message = format!("none of the ranges is within the {len} bytes of {digest}");
            Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, Code::SizeInvalid, message)
                .with(CONTENT_RANGE, format!("bytes */{len}"))
                .into_response()
        }
        Wanted::Ranges(ranges) => match ranges.as_slice() {
            [range] => {
                let body = FileBody::new(file, [Piece::Stretch(*range)]).with(sent);
                let mut response = sized(StatusCode::PARTIAL_CONTENT, range.len(), Body::new(body), OCTETS);
                set(response.headers_mut(), CONTENT_RANGE, &content_range(range, len));
                response
            }
            ranges => {
                let boundary = boundary(digest);
                let body = FileBody::new(file, multipart(ranges, len, &boundary)).with(sent);
                let media_type = format!("multipart/byteranges; boundary={boundary}");
                sized(StatusCode::PARTIAL_CONTENT, body.len(), Body::new(body), &media_type)
            }
        },
    })
}

/// Makes less of a request than could be made of it, where that is wanted.
fn limited(wanted: Wanted, serves: Serves) -> Result<Wanted, Problem> {
    let several = matches!(&wanted, Wanted::Ranges(ranges) if ranges.len() > 1);
    match serves {
        Serves::Whole => Ok(Wanted::Whole),
        Serves::One if several => Ok(Wanted::Whole),
        Serves::OneOrNothing if several => {
            let message = "several ranges in a request are not served";
            Err(Problem::new(StatusCode::NOT_IMPLEMENTED, Code::Unsupported, message))
        }
        _ => Ok(wanted),
    }
}

/// Puts the parts of an answer together (RFC 9110, section 14.6), in the order they were asked for.
fn multipart(ranges: &[BlobRange], blob_len: u64, boundary: &str) -> Vec<Piece> {
    let text = |text: String| Piece::Text(Bytes::from(text));
    let part = |range: &BlobRange| {
        let content_range = content_range(range, blob_len);
        let head =
            format!("\r\n--{boundary}\r\nContent-Type: {OCTETS}\r\nContent-Range: {content_range}\r\n\r\n");
        [text(head), Piece::Stretch(*range)]
    };
    let end = text(format!("\r\n--{boundary}--\r\n"));
    ranges.iter().flat_map(part).chain([end]).collect()
}

/// Makes a line that is in no blob: that it is in the blob whose digest it comes from is as unlikely as two blobs of one
/// digest.
fn boundary(digest: &BlobDigest) -> String {
    BlobDigest::of(format!("boundary of {digest}").as_bytes()).0.hex()
}

fn content_range(range: &BlobRange, blob_len: u64) -> String {
    format!("bytes {}-{}/{blob_len}", range.start(), range.end().saturating_sub(1))
}

fn sized(status: StatusCode, len: u64, body: Body, media_type: &str) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_LENGTH, len.into());
    set(&mut headers, CONTENT_TYPE, media_type);
    (status, headers, body).into_response()
}
