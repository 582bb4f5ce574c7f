//! An image of a registry, being written.

use std::collections::HashMap;
use std::sync::Arc;

use chunked::{BlobDigest, Digest};

use super::upload::Upload;
use crate::client::{Failure, Fetched, Listing, Registries, Repository, SparsePolicy, referrers_tag};
use crate::descriptor::Descriptor;
use crate::error::Error;
use crate::image::{DOCUMENT_LEN_MAX, Document, Exact, Index, parse_json};
use crate::media_type::MediaType;
use crate::name::Name;
use crate::reference::Reference;
use crate::sink::{ImageSink, StagedBlob};

/// An image on its way to a registry. Its blobs and documents are there under their digests as soon as they are
/// committed; its tag is set last.
#[derive(Debug)]
pub(crate) struct RemoteSink {
    repository: Arc<Repository>,
    name: Name,
    reference: Reference,
    /// What was put; clones share the bytes.
    documents: HashMap<BlobDigest, Document>,
}

impl RemoteSink {
    /// Finds out where `name` is. Nothing is asked of the registry before there is something to write.
    pub(crate) fn create(registries: &Registries, name: &Name, reference: Reference) -> Result<Self, Error> {
        let repository = Arc::new(registries.repository(name)?);
        Ok(Self { repository, name: name.clone(), reference, documents: HashMap::new() })
    }

    fn failed(&self, failure: Failure) -> Error {
        self.repository.error(failure)
    }

    fn put(&self, which: &str, document: &Document) -> Result<Listing, Error> {
        let put = self.repository.put_manifest(which, &document.descriptor(), document.bytes());
        put.map_err(|failure| self.failed(failure))
    }

    /// Puts a document; one with a subject is listed.
    fn put_listed(&self, which: &str, document: &Document) -> Result<(), Error> {
        let listing = self.put(which, document)?;
        match document.subject().filter(|_| listing == Listing::NotDone) {
            Some(subject) => self.list_referrer(&subject, document),
            None => Ok(()),
        }
    }

    /// Keeps the list of referrers that the registry does not keep (OCI distribution-spec, "Referrers Tag Schema").
    fn list_referrer(&self, subject: &BlobDigest, document: &Document) -> Result<(), Error> {
        let tag = referrers_tag(subject);
        let there = self.repository.get_manifest(&tag)?.map(|Fetched { bytes, .. }| bytes);
        let list = there.and_then(|bytes| parse_json(&bytes, DOCUMENT_LEN_MAX).ok());
        let mut list = list.unwrap_or_else(|| Index::of(Vec::new()));
        let digest = document.descriptor().digest;
        if list.manifests.iter().any(|listed| listed.digest == digest) {
            return Ok(());
        }
        list.manifests.push(document.as_referrer());
        let list = Exact::encode(MediaType::OCI_INDEX, list)
            .map_err(|source| Error::NewDocument { place: Box::new(self.reference.clone()), source })?;
        self.put(&tag, &Document::Index(Arc::new(list))).map(drop)
    }

    /// Fails when the image's name has another digest than `root`.
    fn check_name(&self, root: &Descriptor) -> Result<(), Error> {
        match self.name.digest().filter(|digest| *digest != root.digest.0) {
            Some(expected) => Err(self.failed(other_digest(expected, root.digest.0))),
            None => Ok(()),
        }
    }
}

impl ImageSink for RemoteSink {
    fn reference(&self) -> &Reference {
        &self.reference
    }

    fn has_blob(&self, digest: &BlobDigest, len: u64) -> Result<bool, Error> {
        self.repository.holds_blob(digest, len).map_err(|failure| self.failed(failure))
    }

    fn adopt_blob(&mut self, digest: &BlobDigest, from: &Reference) -> Result<bool, Error> {
        let Reference::Registry(from) = from else { return Ok(false) };
        if from.host() != self.name.host() || from.repository() == self.name.repository() {
            return Ok(false);
        }
        self.repository.mount(digest, from.repository()).map_err(|failure| self.failed(failure))
    }

    fn has_document(&self, descriptor: &Descriptor) -> Result<bool, Error> {
        let held = self.repository.held_manifest(&descriptor.digest.to_string());
        Ok(held.map_err(|failure| self.failed(failure))?.is_some_and(|held| held == descriptor.digest))
    }

    fn tagged(&self, tag: Option<&str>) -> Result<Option<BlobDigest>, Error> {
        let own = || {
            self.name.tag().map_or_else(
                || self.name.digest().map(|digest| digest.to_string()),
                |tag| Some(tag.to_owned()),
            )
        };
        let Some(which) = tag.map(str::to_owned).or_else(own) else { return Ok(None) };
        self.repository.held_manifest(&which).map_err(|failure| self.failed(failure))
    }

    fn referrers(&self, subject: &BlobDigest) -> Result<Vec<Descriptor>, Error> {
        self.repository.referrers(subject)
    }

    fn sparse_policy(&self) -> Result<SparsePolicy, Error> {
        self.repository.sparse_policy().map_err(|failure| self.failed(failure))
    }

    fn start_blob(&mut self) -> Result<Box<dyn StagedBlob + '_>, Error> {
        Ok(Box::new(Upload::new(self.repository.clone())))
    }

    fn put_document(&mut self, document: &Document) -> Result<(), Error> {
        let digest = document.descriptor().digest;
        self.put_listed(&digest.to_string(), document)?;
        self.documents.insert(digest, document.clone());
        Ok(())
    }

    fn put_tagged(&mut self, tag: &str, document: &Document) -> Result<(), Error> {
        self.put_listed(tag, document)
    }

    fn try_document(&mut self, document: &Document) -> Result<(), Error> {
        let digest = document.descriptor().digest;
        self.put(&digest.to_string(), document)?;
        // Under no tag, what a registry does not remove is garbage to it.
        let _ = self.repository.delete_manifest(&digest);
        Ok(())
    }

    fn commit(self: Box<Self>, root: &Descriptor) -> Result<(), Error> {
        self.check_name(root)?;
        match (self.name.tag(), self.documents.get(&root.digest)) {
            (Some(tag), Some(document)) => self.put(tag, document).map(drop),
            _ => Ok(()),
        }
    }

    fn commit_document(self: Box<Self>, root: &Document) -> Result<(), Error> {
        self.check_name(&root.descriptor())?;
        let own = self.name.tag().map_or_else(|| root.descriptor().digest.to_string(), str::to_owned);
        self.put_listed(&own, root)
    }
}

fn other_digest(expected: Digest, found: Digest) -> Failure {
    Failure::OtherDigest { expected: expected.to_string(), found: found.to_string() }
}
