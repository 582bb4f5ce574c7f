//! What a registry holds.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use serde_json::{Value, json};

use super::message::{Answer, Content, Head, Piece};
use super::script::Indexes;
use crate::oci::digest;

/// Repositories by name.
#[derive(Debug, Default)]
pub(super) struct Repositories(Mutex<HashMap<String, Repository>>);

#[derive(Debug, Default)]
struct Repository {
    blobs: HashMap<String, Content>,
    manifests: BTreeMap<String, Manifest>,
    tags: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
pub(super) struct Manifest {
    pub(super) digest: String,
    pub(super) media_type: String,
    pub(super) content: Content,
}

impl Repositories {
    pub(super) fn add_blob(&self, name: &str, digest: &str, content: Content) {
        self.with(name, |repository| repository.blobs.insert(digest.to_owned(), content));
    }

    pub(super) fn blob(&self, name: &str, digest: &str) -> Option<Content> {
        self.with(name, |repository| repository.blobs.get(digest).cloned())
    }

    pub(super) fn remove_blob(&self, name: &str, digest: &str) {
        self.with(name, |repository| repository.blobs.remove(digest));
    }

    /// Finds a blob in any repository: the blob host knows no repositories.
    pub(super) fn any_blob(&self, digest: &str) -> Option<Content> {
        let repositories = self.0.lock().expect("no thread panics with the content");
        repositories.values().find_map(|repository| repository.blobs.get(digest).cloned())
    }

    /// Stores a manifest by its digest, and under a tag unless `reference` is a digest.
    pub(super) fn add_manifest(&self, name: &str, reference: &str, media_type: &str, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        self.add_manifest_as(name, &digest, media_type, bytes);
        if !reference.contains(':') {
            self.with(name, |repository| repository.tags.insert(reference.to_owned(), digest.clone()));
        }
        digest
    }

    /// Stores a manifest under a digest that may be another one's; headers will have its own.
    pub(super) fn add_manifest_as(&self, name: &str, wrong: &str, media_type: &str, bytes: &[u8]) {
        let manifest = Manifest {
            digest: digest(bytes),
            media_type: media_type.to_owned(),
            content: Content::new(bytes),
        };
        self.with(name, |repository| repository.manifests.insert(wrong.to_owned(), manifest));
    }

    /// Finds a manifest by tag or digest.
    pub(super) fn manifest(&self, name: &str, reference: &str) -> Option<Manifest> {
        self.with(name, |repository| {
            let digest = repository.tags.get(reference).map_or(reference, String::as_str);
            repository.manifests.get(digest).cloned()
        })
    }

    /// Removes a manifest, and the tags that mean it; `false` when it is not there.
    pub(super) fn remove_manifest(&self, name: &str, digest: &str) -> bool {
        self.with(name, |repository| {
            repository.tags.retain(|_, tagged| tagged != digest);
            repository.manifests.remove(digest).is_some()
        })
    }

    /// Names what a manifest refers to and the repository does not have.
    pub(super) fn missing(&self, name: &str, manifest: &Value, indexes: &Indexes) -> Vec<String> {
        let list = |key: &str| manifest[key].as_array().cloned().unwrap_or_default();
        let digests = |values: Vec<Value>| {
            values.into_iter().filter_map(|v| v["digest"].as_str().map(str::to_owned)).collect::<Vec<_>>()
        };
        let mut blobs = digests(list("layers"));
        blobs.extend(digests(vec![manifest["config"].clone()]));
        let children =
            digests(list("manifests").into_iter().filter(|child| indexes.require(child)).collect());
        self.with(name, |repository| {
            let no_blob = blobs.into_iter().filter(|digest| !repository.blobs.contains_key(digest));
            let no_child = children.into_iter().filter(|digest| !repository.manifests.contains_key(digest));
            no_blob.chain(no_child).collect()
        })
    }

    /// Answers a request for the tags, a page at a time if the client wants pages.
    pub(super) fn tags(&self, name: &str, head: &Head) -> Answer {
        let last = head.query("last").pop().unwrap_or_default();
        let most = head.query("n").pop().and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
        let mut tags: Vec<String> = self
            .with(name, |repository| repository.tags.keys().filter(|tag| **tag > last).cloned().collect());
        let more = tags.len() > most;
        tags.truncate(most);
        let answer = Answer::json(200, &json!({"name": name, "tags": tags}));
        match tags.last().filter(|_| more) {
            Some(last) => {
                answer.with("Link", format!("</v2/{name}/tags/list?n={most}&last={last}>; rel=\"next\""))
            }
            None => answer,
        }
    }

    /// Answers a request for the manifests whose subject is `digest`.
    pub(super) fn referrers(&self, name: &str, digest: &str) -> Answer {
        let manifests: Vec<Manifest> = self.with(name, |r| r.manifests.values().cloned().collect());
        let descriptors: Vec<Value> = manifests.iter().filter_map(|m| referrer(m, digest)).collect();
        let media_type = "application/vnd.oci.image.index.v1+json";
        let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": descriptors});
        let body = vec![Piece::Bytes(index.to_string().into_bytes())];
        Answer { body, ..Answer::empty(200) }.with("Content-Type", media_type)
    }

    fn with<T>(&self, name: &str, act: impl FnOnce(&mut Repository) -> T) -> T {
        let mut repositories = self.0.lock().expect("no thread panics with the content");
        act(repositories.entry(name.to_owned()).or_default())
    }
}

/// Describes a manifest whose subject is `digest`.
fn referrer(manifest: &Manifest, digest: &str) -> Option<Value> {
    let value: Value = serde_json::from_slice(&manifest.content.to_vec().ok()?).ok()?;
    if value["subject"]["digest"] != digest {
        return None;
    }
    let artifact_type = value.get("artifactType").unwrap_or(&value["config"]["mediaType"]);
    let mut descriptor = json!({
        "mediaType": manifest.media_type,
        "digest": manifest.digest,
        "size": manifest.content.len(),
        "artifactType": artifact_type,
    });
    if let Some(annotations) = value.get("annotations") {
        descriptor["annotations"] = annotations.clone();
    }
    Some(descriptor)
}
