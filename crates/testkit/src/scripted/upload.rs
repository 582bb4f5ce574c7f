//! Blobs on their way in: at once, in pieces, or from another repository.

use std::collections::HashMap;
use std::sync::Mutex;

use super::content::Repositories;
use super::message::{Answer, Content, Head};
use crate::oci::digest;

/// Uploads by ID.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    parts: Mutex<HashMap<String, Vec<u8>>>,
    next: std::sync::atomic::AtomicU64,
}

impl Uploads {
    /// Answers a request about uploads of a repository: `id` is empty to start one.
    pub(super) fn answer(
        &self,
        repositories: &Repositories,
        name: &str,
        id: &str,
        head: &Head,
        body: &[u8],
    ) -> Answer {
        let digest = head.query("digest").pop();
        match (head.method.as_str(), digest) {
            ("POST", Some(digest)) if id.is_empty() => finish(repositories, name, &digest, body),
            ("POST", None) if id.is_empty() => self.start(name),
            ("GET", _) => self.with(id, |bytes| progress(204, name, id, bytes)),
            ("PATCH", _) => self.with(id, |bytes| append(name, id, head, bytes, body)),
            ("PUT", Some(digest)) => {
                let appended = self.with(id, |bytes| append(name, id, head, bytes, body));
                if appended.status != 202 {
                    return appended;
                }
                let bytes = self.take(id);
                finish(repositories, name, &digest, &bytes)
            }
            ("DELETE", _) => {
                self.take(id);
                Answer::empty(204)
            }
            _ => Answer::error(405, "UNSUPPORTED", "uploads do not take that method"),
        }
    }

    /// Keeps what arrived of a piece whose connection broke.
    pub(super) fn keep(&self, id: &str, body: &[u8]) {
        self.with(id, |bytes| {
            bytes.extend_from_slice(body);
            Answer::empty(202)
        });
    }

    fn start(&self, name: &str) -> Answer {
        let id = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string();
        self.lock().insert(id.clone(), Vec::new());
        progress(202, name, &id, &[])
    }

    fn take(&self, id: &str) -> Vec<u8> {
        self.lock().remove(id).unwrap_or_default()
    }

    fn with(&self, id: &str, act: impl FnOnce(&mut Vec<u8>) -> Answer) -> Answer {
        let unknown = || Answer::error(404, "BLOB_UPLOAD_UNKNOWN", "no such upload");
        self.lock().get_mut(id).map_or_else(unknown, act)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<u8>>> {
        self.parts.lock().expect("no thread panics with the uploads")
    }
}

/// Adds a piece, which may say where it belongs.
fn append(name: &str, id: &str, head: &Head, bytes: &mut Vec<u8>, body: &[u8]) -> Answer {
    let start = head.header("content-range").and_then(|range| range.split('-').next()?.parse::<usize>().ok());
    if start.is_some_and(|start| start != bytes.len()) {
        return progress(416, name, id, bytes);
    }
    bytes.extend_from_slice(body);
    progress(202, name, id, bytes)
}

/// Says where an upload is and how far it came. The query makes sure that clients keep it.
fn progress(status: u16, name: &str, id: &str, bytes: &[u8]) -> Answer {
    Answer::empty(status)
        .with("Location", format!("/v2/{name}/blobs/uploads/{id}?state={}", bytes.len()))
        .with("Docker-Upload-UUID", id)
        .with("Range", format!("0-{}", bytes.len().saturating_sub(1)))
}

fn finish(repositories: &Repositories, name: &str, claimed: &str, bytes: &[u8]) -> Answer {
    if digest(bytes) != claimed {
        return Answer::error(400, "DIGEST_INVALID", "the bytes have another digest");
    }
    repositories.add_blob(name, claimed, Content::new(bytes));
    created(name, claimed)
}

/// Says where a new blob is.
pub(super) fn created(name: &str, digest: &str) -> Answer {
    Answer::empty(201)
        .with("Location", format!("/v2/{name}/blobs/{digest}"))
        .with("Docker-Content-Digest", digest)
}
