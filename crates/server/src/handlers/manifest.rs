//! Manifests and indexes.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use chunked::BlobDigest;
use registry::image::{DOCUMENT_LEN_MAX, Invalid};
use registry::{Descriptor, Document, MediaType};
use serde::Deserialize;
use serde_json::json;

use super::{DOCKER_CONTENT_DIGEST, blocking, etag, next_bytes, not_modified, repository, set};
use crate::app::App;
use crate::error::Error;
use crate::policy::IndexPolicy;
use crate::problem::{Code, Problem, Reason};
use crate::repository::{Absent, CHILDREN_MAX, Missing, Part, Push, Repository, children};
use crate::route::{ManifestName, RepositoryName};

const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// Sends a manifest, with exactly the bytes that were pushed.
pub(super) async fn get(
    app: Arc<App>,
    head: &Parts,
    name: RepositoryName,
    reference: ManifestName,
) -> Result<Response, Problem> {
    let repository = repository(&app, &name).await?;
    let wanted = reference.clone();
    let document = match blocking(move || find(&repository, &wanted)).await? {
        Found::Document(document) => document,
        Found::Absent(digest, absent) => return Err(absent_on_purpose(&name, &digest, &absent)),
        Found::Nothing => return Err(unknown(&name, &reference)),
    };
    let descriptor = document.descriptor();
    if let Some(response) = not_modified(head, &descriptor.digest) {
        return Ok(response);
    }
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_LENGTH, descriptor.len.into());
    set(&mut headers, CONTENT_TYPE, descriptor.media_type.as_str());
    set(&mut headers, DOCKER_CONTENT_DIGEST, &descriptor.digest.to_string());
    set(&mut headers, ETAG, &etag(&descriptor.digest));
    let body = match head.method {
        Method::HEAD => Body::empty(),
        _ => Body::from(document.bytes().to_vec()),
    };
    Ok((headers, body).into_response())
}

enum Found {
    Document(Document),
    Absent(BlobDigest, Box<Absent>),
    Nothing,
}

fn find(repository: &Repository, reference: &ManifestName) -> Result<Found, Error> {
    let contents = repository.contents()?;
    let descriptor = match reference {
        ManifestName::Tag(tag) => contents.tagged(tag).map(Descriptor::bare),
        ManifestName::Digest(digest) => contents.node(digest).map(|node| node.descriptor.clone()),
    };
    let Some(descriptor) = descriptor else { return Ok(Found::Nothing) };
    Ok(match (repository.document(&descriptor)?, contents.absent(&descriptor.digest)) {
        (Some(document), _) => Found::Document(document),
        (None, Some(absent)) => Found::Absent(descriptor.digest, Box::new(absent)),
        (None, None) => Found::Nothing,
    })
}

fn unknown(name: &RepositoryName, reference: &ManifestName) -> Problem {
    let what = match reference {
        ManifestName::Tag(tag) => format!("no tag `{tag}`"),
        ManifestName::Digest(digest) => format!("no manifest {digest}"),
    };
    Problem::new(StatusCode::NOT_FOUND, Code::ManifestUnknown, format!("`{name}` has {what}"))
}

/// Says of what an index lists and nobody pushed that this is no accident.
fn absent_on_purpose(name: &RepositoryName, digest: &BlobDigest, absent: &Absent) -> Problem {
    let index = absent.listing.index;
    let platform = absent.listing.platform.as_ref().map(ToString::to_string);
    let as_what = platform.as_deref().unwrap_or("an entry without platform");
    let present = if absent.present.is_empty() { "none".to_owned() } else { absent.present.join(", ") };
    let message = format!(
        "index {index} lists {as_what} as {digest}, but `{name}` does not have it: the index is sparse here; \
         present: {present}"
    );
    let detail = json!({
        "digest": digest, "platform": platform, "index": index, "present": absent.present, "sparse": true,
    });
    Problem::of(StatusCode::NOT_FOUND, vec![Reason { code: Code::ManifestUnknown, message, detail }])
}

/// Takes a manifest in.
pub(super) async fn put(
    app: Arc<App>,
    head: &Parts,
    name: RepositoryName,
    reference: ManifestName,
    body: Body,
) -> Result<Response, Problem> {
    let bytes = read(head, body).await?;
    let document = parse(head, &reference, bytes)?;
    if children(&document).len() > CHILDREN_MAX {
        let message = format!("an index lists {CHILDREN_MAX} manifests at most");
        return Err(Problem::new(StatusCode::BAD_REQUEST, Code::ManifestInvalid, message));
    }
    let (digest, subject) = (document.descriptor().digest, subject(&document));
    let (shared, own) = (Arc::clone(&app), name.clone());
    let missing = blocking(move || {
        let tag = match &reference {
            ManifestName::Tag(tag) => Some(tag.as_str()),
            ManifestName::Digest(_) => None,
        };
        let push = Push { document: &document, tag, policy: &shared.policy };
        shared.repositories.create(&own)?.push(&push)
    });
    let missing = missing.await?;
    if !missing.is_empty() {
        return Err(refusal(&name, &missing, &app.policy));
    }
    let mut headers = HeaderMap::new();
    set(&mut headers, LOCATION, &format!("/v2/{name}/manifests/{digest}"));
    set(&mut headers, DOCKER_CONTENT_DIGEST, &digest.to_string());
    if let Some(subject) = subject {
        set(&mut headers, OCI_SUBJECT, &subject.to_string());
    }
    Ok((StatusCode::CREATED, headers).into_response())
}

async fn read(head: &Parts, mut body: Body) -> Result<Vec<u8>, Problem> {
    let too_long = || {
        let message = format!("a manifest has {DOCUMENT_LEN_MAX} bytes at most");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, Code::SizeInvalid, message)
    };
    let claimed = head.headers.get(CONTENT_LENGTH).and_then(|len| len.to_str().ok()?.parse::<u64>().ok());
    if claimed.is_some_and(|len| len > DOCUMENT_LEN_MAX) {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    while let Some(piece) = next_bytes(&mut body).await? {
        bytes.extend_from_slice(&piece);
        if bytes.len() as u64 > DOCUMENT_LEN_MAX {
            return Err(too_long());
        }
    }
    Ok(bytes)
}

/// Checks the bytes against the digest they are pushed under, and what they say of themselves against the header.
fn parse(head: &Parts, reference: &ManifestName, bytes: Vec<u8>) -> Result<Document, Problem> {
    let digest = match reference {
        ManifestName::Digest(digest) => *digest,
        ManifestName::Tag(_) => BlobDigest::of(&bytes),
    };
    let descriptor = Descriptor::new(media_type(head, &bytes)?, digest, bytes.len() as u64);
    Document::parse(&descriptor, bytes).map_err(|invalid| {
        let code = match invalid {
            Invalid::Body(_) => Code::DigestInvalid,
            _ => Code::ManifestInvalid,
        };
        Problem::new(StatusCode::BAD_REQUEST, code, format!("the manifest is not valid: {invalid}"))
    })
}

fn media_type(head: &Parts, bytes: &[u8]) -> Result<MediaType, Problem> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Typed {
        media_type: Option<MediaType>,
    }
    let header = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let header = header.and_then(|text| text.split(';').next()).map(|text| text.trim().to_owned());
    let own = || serde_json::from_slice::<Typed>(bytes).ok()?.media_type;
    header.map(MediaType::from).or_else(own).ok_or_else(|| {
        let message = "neither the header `Content-Type` nor the manifest says what it is";
        Problem::new(StatusCode::BAD_REQUEST, Code::ManifestInvalid, message)
    })
}

fn subject(document: &Document) -> Option<BlobDigest> {
    let subject = match document {
        Document::Manifest(manifest) => &manifest.value().subject,
        Document::Index(index) => &index.value().subject,
    };
    subject.as_ref().map(|subject| subject.digest)
}

/// Names everything that a manifest lacks, with its platform where it is a child of an index.
fn refusal(name: &RepositoryName, missing: &[Missing], policy: &IndexPolicy) -> Problem {
    let reason = |Missing { digest, part }: &Missing| match part {
        Part::Blob => Reason {
            code: Code::ManifestBlobUnknown,
            message: format!("the manifest needs the blob {digest}, which `{name}` does not have"),
            detail: json!({ "digest": digest }),
        },
        Part::Child(platform) => {
            let what = platform.as_deref().unwrap_or("an entry without platform");
            let message = format!(
                "the index lists {what} as {digest}, which `{name}` does not have, and this registry takes no index \
                 without it: its `--index-platforms` is `{policy}`"
            );
            let detail =
                json!({ "digest": digest, "platform": platform, "index-platforms": policy.to_string() });
            Reason { code: Code::ManifestBlobUnknown, message, detail }
        }
    };
    Problem::of(StatusCode::BAD_REQUEST, missing.iter().map(reason).collect())
}

/// Takes a tag away, or deletes a manifest with all its tags.
pub(super) async fn delete(
    app: Arc<App>,
    name: RepositoryName,
    reference: ManifestName,
) -> Result<Response, Problem> {
    let repository = repository(&app, &name).await?;
    let wanted = reference.clone();
    let is_deleted = blocking(move || match &wanted {
        ManifestName::Tag(tag) => repository.untag(tag),
        ManifestName::Digest(digest) => repository.delete_manifest(digest),
    });
    match is_deleted.await? {
        true => Ok(StatusCode::ACCEPTED.into_response()),
        false => Err(unknown(&name, &reference)),
    }
}
