//! From a request to its answer.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;

use serde_json::{Value, json};

use super::auth::{Tokens, Wanted};
use super::content::Repositories;
use super::fault::{Faults, Misdeed};
use super::log::{Host, Log};
use super::message::{Answer, Content, Head, Piece};
use super::ranges;
use super::route::Route;
use super::script::{Blobs, Script};
use super::upload::{Uploads, created};
use crate::link::Pacer;

/// Everything that the connections of a registry share.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) script: Script,
    pub(super) front: String,
    pub(super) blob_host: String,
    pub(super) repositories: Repositories,
    pub(super) faults: Faults,
    pub(super) log: Log,
    pub(super) down: Pacer,
    pub(super) up: Pacer,
    uploads: Uploads,
    tokens: Tokens,
    /// How often each signature may still be used.
    signed: Mutex<HashMap<String, u32>>,
    signatures: AtomicU64,
}

impl Service {
    pub(super) fn new(mut script: Script, front: String, blob_host: String) -> Self {
        Self {
            faults: Faults::new(std::mem::take(&mut script.faults)),
            down: Pacer::new(script.link),
            up: Pacer::new(script.link),
            script,
            front,
            blob_host,
            repositories: Repositories::default(),
            log: Log::default(),
            uploads: Uploads::default(),
            tokens: Tokens::default(),
            signed: Mutex::default(),
            signatures: AtomicU64::new(0),
        }
    }

    /// Finds what goes wrong with a request.
    pub(super) fn misdeed(&self, head: &Head, host: Host) -> Option<&Misdeed> {
        self.faults.meet(head, host, self.script.blobs != Blobs::Here)
    }

    /// Makes all signed addresses given out so far answer 403.
    pub(super) fn expire_addresses(&self) {
        self.signed().clear();
    }

    /// Keeps what arrived of a piece of an upload whose connection broke.
    pub(super) fn keep_upload(&self, head: &Head, body: &[u8]) {
        if let Route::Upload { id, .. } = Route::of(head.path()) {
            self.uploads.keep(id, body);
        }
    }

    /// Answers a request.
    pub(super) fn answer(&self, host: Host, head: &Head, body: &[u8], flip: Option<u64>) -> Answer {
        let route = Route::of(head.path());
        match (host, route) {
            (Host::Blobs, Route::Signed { digest }) => self.signed_blob(head, digest, flip),
            (Host::Blobs, _) | (Host::Front, Route::Signed { .. }) => Answer::empty(404),
            (Host::Front, Route::Token) => {
                self.tokens.give(&self.script, head, &String::from_utf8_lossy(body))
            }
            (Host::Front, _) => {
                let realm = format!("http://{}/token", self.front);
                let wanted = Wanted::new(&head.method, route.name());
                let allowed = self.tokens.check(&self.script.auth, head, wanted, &realm);
                allowed.map_or_else(|refusal| refusal, |()| self.api(head, route, body, flip))
            }
        }
    }

    fn api(&self, head: &Head, route: Route<'_>, body: &[u8], flip: Option<u64>) -> Answer {
        let reads = matches!(head.method.as_str(), "GET" | "HEAD");
        match route {
            Route::Base => {
                let base = Answer::json(200, &Value::Object(Default::default()));
                let headers = self.script.indexes.headers();
                headers.into_iter().fold(base, |base, (name, value)| base.with(name, value))
            }
            Route::Manifest { name, reference } if reads => self.manifest(name, reference, flip),
            Route::Manifest { name, reference } if head.method == "PUT" => {
                self.put_manifest(head, name, reference, body)
            }
            Route::Manifest { name, reference } if head.method == "DELETE" => {
                let found = self.script.deletes.then(|| self.repositories.remove_manifest(name, reference));
                Answer::empty(match found {
                    Some(true) => 202,
                    Some(false) => 404,
                    None => 405,
                })
            }
            Route::Blob { name, digest } if reads => self.blob(head, name, digest, flip),
            Route::Upload { name, id: "" } if head.method == "POST" && self.mount(head, name) => {
                created(name, &head.query("mount").concat())
            }
            Route::Upload { name, id } => self.uploads.answer(&self.repositories, name, id, head, body),
            Route::Tags { name } if reads => self.repositories.tags(name, head),
            Route::Referrers { name, digest } if reads && self.script.referrers => {
                self.repositories.referrers(name, digest)
            }
            _ => Answer::empty(404),
        }
    }

    fn manifest(&self, name: &str, reference: &str, flip: Option<u64>) -> Answer {
        let Some(manifest) = self.repositories.manifest(name, reference) else {
            return Answer::error(404, "MANIFEST_UNKNOWN", "manifest unknown");
        };
        let content = flipped(manifest.content, flip);
        let range = 0..content.len();
        Answer { body: vec![Piece::Content(content, range)], ..Answer::empty(200) }
            .with("Content-Type", manifest.media_type)
            .with("Docker-Content-Digest", manifest.digest)
    }

    fn put_manifest(&self, head: &Head, name: &str, reference: &str, body: &[u8]) -> Answer {
        let Ok(manifest) = serde_json::from_slice::<Value>(body) else {
            return Answer::error(400, "MANIFEST_INVALID", "the manifest is not JSON");
        };
        let missing = self.repositories.missing(name, &manifest, &self.script.indexes);
        if !missing.is_empty() {
            return unknown(&missing);
        }
        if reference.contains(':') && reference != crate::oci::digest(body) {
            return Answer::error(400, "DIGEST_INVALID", "the manifest has another digest");
        }
        let media_type = head.header("content-type").unwrap_or_default();
        let digest = self.repositories.add_manifest(name, reference, media_type, body);
        let answer = Answer::empty(201)
            .with("Location", format!("/v2/{name}/manifests/{digest}"))
            .with("Docker-Content-Digest", digest);
        match manifest["subject"]["digest"].as_str().filter(|_| self.script.referrers) {
            Some(subject) => answer.with("OCI-Subject", subject),
            None => answer,
        }
    }

    /// Mounts a blob of another repository if the request asks for it, it is there, and the client may have it.
    fn mount(&self, head: &Head, name: &str) -> bool {
        let (digest, from) = (head.query("mount").concat(), head.query("from").concat());
        let allowed = self.tokens.may_pull(&self.script.auth, head, &from);
        match self.repositories.blob(&from, &digest).filter(|_| allowed) {
            Some(content) => {
                self.repositories.add_blob(name, &digest, content);
                true
            }
            None => false,
        }
    }

    fn blob(&self, head: &Head, name: &str, digest: &str, flip: Option<u64>) -> Answer {
        let Some(content) = self.repositories.blob(name, digest) else {
            return Answer::error(404, "BLOB_UNKNOWN", "blob unknown to registry");
        };
        match &self.script.blobs {
            Blobs::Here => self.content(head, digest, content, flip),
            Blobs::Signed { uses } => {
                let mut signed = self.signed();
                let signature = self.signatures.fetch_add(1, Ordering::Relaxed).to_string();
                signed.insert(signature.clone(), uses.unwrap_or(u32::MAX));
                let host = &self.blob_host;
                redirect(format!("http://{host}/signed/{digest}?signature={signature}"))
            }
            Blobs::At(address) => redirect(format!("{address}/{}", digest.replace(':', "/"))),
        }
    }

    /// Answers at the blob host, which refuses credentials as object stores do.
    fn signed_blob(&self, head: &Head, digest: &str, flip: Option<u64>) -> Answer {
        if head.header("authorization").is_some() {
            return Answer::error(400, "InvalidArgument", "only one auth mechanism allowed");
        }
        let mut signed = self.signed();
        let uses_left = signed.get_mut(&head.query("signature").concat()).filter(|left| **left > 0);
        let Some(uses_left) = uses_left else {
            return Answer::error(403, "AccessDenied", "request has expired");
        };
        *uses_left -= 1;
        drop(signed);
        match self.repositories.any_blob(digest) {
            Some(content) => self.content(head, digest, content, flip),
            None => Answer::error(404, "NoSuchKey", "no such blob"),
        }
    }

    fn content(&self, head: &Head, digest: &str, content: Content, flip: Option<u64>) -> Answer {
        if let Some((most, status)) = self.script.header_limit
            && head.longest_line > most
        {
            return Answer::error(status, "HEADER", "the request has a line that is too long");
        }
        let range = head.header("range");
        sleep(self.script.per_range * range.map_or(0, |range| range.split(',').count() as u32));
        ranges::answer(&self.script, flipped(content, flip), range).with("Docker-Content-Digest", digest)
    }

    fn signed(&self) -> std::sync::MutexGuard<'_, HashMap<String, u32>> {
        self.signed.lock().expect("no thread panics with the signatures")
    }
}

/// Answers as distribution does: an error for each digest, which is its detail.
fn unknown(digests: &[String]) -> Answer {
    let error = |digest: &String| json!({"code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown to registry", "detail": digest});
    let errors: Vec<Value> = digests.iter().map(error).collect();
    Answer::json(400, &json!({ "errors": errors }))
}

fn redirect(location: String) -> Answer {
    Answer::empty(307).with("Location", location)
}

fn flipped(mut content: Content, flip: Option<u64>) -> Content {
    if let Some(offset) = flip {
        content.flip(offset);
    }
    content
}
