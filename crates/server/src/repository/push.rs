//! Taking a manifest in: only with everything it needs, and for good once that is acknowledged.

use std::io::Write;

use chunked::BlobDigest;
use registry::media_type::LayerKind;
use registry::{Descriptor, Document};

use super::{Repository, listing};
use crate::error::{Error, at_path};
use crate::policy::IndexPolicy;

/// A manifest on its way into a repository.
#[derive(Debug)]
pub(crate) struct Push<'a> {
    /// Its bytes, which were checked.
    pub(crate) document: &'a Document,
    /// The name it gets.
    pub(crate) tag: Option<&'a str>,
    /// What an index may lack.
    pub(crate) policy: &'a IndexPolicy,
}

/// Something that a manifest needs and that the repository does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missing {
    /// Its digest.
    pub(crate) digest: BlobDigest,
    /// What it is.
    pub(crate) part: Part,
}

/// What a manifest or index needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// A configuration or layer.
    Blob,
    /// What an index lists, with its platform if it names one.
    Child(Option<String>),
}

impl Repository {
    /// Takes a manifest in. What it lacks is returned, and then nothing has changed.
    pub(crate) fn push(&self, push: &Push<'_>) -> Result<Vec<Missing>, Error> {
        let _lock = self.directory.lock()?;
        let missing = self.missing(push)?;
        if !missing.is_empty() {
            return Ok(missing);
        }
        self.store(push.document)?;

        let before = self.contents()?;
        let descriptor = push.document.descriptor();
        let mut index = before.index.clone();
        match push.tag {
            Some(tag) if before.tagged(tag).is_some_and(|named| named.digest == descriptor.digest) => {}
            Some(tag) => listing::tag(&mut index, descriptor, tag),
            None => listing::add(&mut index, [descriptor]),
        }
        let children = children(push.document);
        let is_child =
            |digest: &BlobDigest| before.is_child(digest) || children.iter().any(|c| c.digest == *digest);
        listing::tidy(&mut index, is_child);
        // First, as a list that leads to too much would be of no use to anybody.
        let contents = self.load(index, Some(&before))?;
        self.write_index(&contents.index, &before)?;
        self.keep(contents)?;
        Ok(missing)
    }

    /// Lists what the manifest needs and the repository lacks.
    fn missing(&self, push: &Push<'_>) -> Result<Vec<Missing>, Error> {
        let mut missing = Vec::new();
        for blob in blobs(push.document).into_iter().filter(|blob| is_kept_here(blob)) {
            if !self.has_blob(blob)? {
                missing.push(Missing { digest: blob.digest, part: Part::Blob });
            }
        }
        for child in children(push.document).iter().filter(|child| push.policy.requires(child)) {
            if !self.has_blob(child)? {
                let platform = child.platform.as_ref().map(ToString::to_string);
                missing.push(Missing { digest: child.digest, part: Part::Child(platform) });
            }
        }
        missing.dedup();
        Ok(missing)
    }

    fn store(&self, document: &Document) -> Result<(), Error> {
        let digest = document.descriptor().digest;
        if self.blob(&digest)?.is_some() {
            return Ok(());
        }
        let mut staged = self.directory.stage()?;
        staged.write_all(document.bytes()).map_err(at_path("write", &self.path_of(&digest)))?;
        self.publish(staged, &digest)
    }
}

/// Lists the configuration and the layers of a manifest.
pub(crate) fn blobs(document: &Document) -> Vec<&Descriptor> {
    match document {
        Document::Manifest(manifest) => {
            let manifest = manifest.value();
            [&manifest.config].into_iter().chain(&manifest.layers).collect()
        }
        Document::Index(_) => Vec::new(),
    }
}

/// Lists what an index lists.
pub(crate) fn children(document: &Document) -> &[Descriptor] {
    match document {
        Document::Manifest(_) => &[],
        Document::Index(index) => &index.value().manifests,
    }
}

/// Layers that must not be redistributed, and what has an address of its own, are fetched from elsewhere.
fn is_kept_here(blob: &Descriptor) -> bool {
    blob.urls.is_empty() && blob.media_type.layer() != LayerKind::Foreign
}
