//! Putting content into a scripted registry without asking it, and taking it out again.

use super::Scripted;
use super::message::Content;
use crate::oci::{Layout, digest};

impl Scripted {
    /// Stores a blob in a repository, and returns its digest.
    pub fn add_blob(&self, name: &str, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        self.server.service.repositories.add_blob(name, &digest, Content::new(bytes));
        digest
    }

    /// Stores a manifest under a tag or by its digest alone, and returns its digest.
    pub fn add_manifest(&self, name: &str, reference: &str, media_type: &str, bytes: &[u8]) -> String {
        self.server.service.repositories.add_manifest(name, reference, media_type, bytes)
    }

    /// Stores a manifest under a digest that is not its own; headers have its own.
    pub fn add_manifest_as(&self, name: &str, wrong: &str, media_type: &str, bytes: &[u8]) {
        self.server.service.repositories.add_manifest_as(name, wrong, media_type, bytes);
    }

    /// Stores all of a layout in a repository. Blobs are served from the layout's files.
    ///
    /// # Panics
    ///
    /// When the layout has not what its index names.
    pub fn add_layout(&self, name: &str, layout: &Layout) {
        let index = layout.index();
        for descriptor in index["manifests"].as_array().expect("an index has manifests") {
            let tag = descriptor["annotations"]["org.opencontainers.image.ref.name"].as_str();
            self.add_described(name, layout, descriptor, tag);
        }
    }

    /// Stores a manifest or an index with everything below it.
    fn add_described(&self, name: &str, layout: &Layout, descriptor: &serde_json::Value, tag: Option<&str>) {
        let digest = descriptor["digest"].as_str().expect("a descriptor has a digest");
        let bytes = layout.blob(digest);
        let manifest: serde_json::Value = serde_json::from_slice(&bytes).expect("a manifest is JSON");
        for child in manifest["manifests"].as_array().into_iter().flatten() {
            self.add_described(name, layout, child, None);
        }
        let blobs = manifest["layers"].as_array().into_iter().flatten().chain(manifest.get("config"));
        for digest in blobs.filter_map(|blob| blob["digest"].as_str()) {
            let content = Content::open(&layout.blob_path(digest)).expect("the layout has the blob");
            self.server.service.repositories.add_blob(name, digest, content);
        }
        let media_type = descriptor["mediaType"].as_str().unwrap_or_default();
        self.add_manifest(name, tag.unwrap_or(digest), media_type, &bytes);
    }

    /// Removes a manifest from a repository, as an operator would who wants a sparse mirror.
    pub fn remove_manifest(&self, name: &str, digest: &str) {
        self.server.service.repositories.remove_manifest(name, digest);
    }

    /// Removes a blob from a repository: damage.
    pub fn remove_blob(&self, name: &str, digest: &str) {
        self.server.service.repositories.remove_blob(name, digest);
    }

    /// Returns a blob that the registry holds.
    ///
    /// # Panics
    ///
    /// When its file cannot be read.
    pub fn blob(&self, name: &str, digest: &str) -> Option<Vec<u8>> {
        let content = self.server.service.repositories.blob(name, digest)?;
        Some(content.to_vec().expect("a blob can be read"))
    }

    /// Returns a manifest that the registry holds, by tag or digest.
    pub fn manifest(&self, name: &str, reference: &str) -> Option<Vec<u8>> {
        let manifest = self.server.service.repositories.manifest(name, reference)?;
        Some(manifest.content.to_vec().expect("memory can be read"))
    }
}
