//! An image of a registry, being written.

use std::collections::HashMap;
use std::sync::Arc;

use chunked::{BlobDigest, Digest};

use super::upload::Upload;
use crate::client::{Failure, Registries, Repository};
use crate::descriptor::Descriptor;
use crate::error::Error;
use crate::image::Document;
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
}

impl ImageSink for RemoteSink {
    fn reference(&self) -> &Reference {
        &self.reference
    }

    fn has_blob(&self, digest: &BlobDigest, len: u64) -> Result<bool, Error> {
        self.repository.holds_blob(digest, len).map_err(|failure| self.repository.error(failure))
    }

    fn adopt_blob(&mut self, digest: &BlobDigest, from: &Reference) -> Result<bool, Error> {
        let Reference::Registry(from) = from else { return Ok(false) };
        if from.host() != self.name.host() || from.repository() == self.name.repository() {
            return Ok(false);
        }
        self.repository.mount(digest, from.repository()).map_err(|failure| self.repository.error(failure))
    }

    fn start_blob(&mut self) -> Result<Box<dyn StagedBlob + '_>, Error> {
        Ok(Box::new(Upload::new(self.repository.clone())))
    }

    fn put_document(&mut self, document: &Document) -> Result<(), Error> {
        let descriptor = document.descriptor();
        self.repository
            .put_manifest(&descriptor.digest.to_string(), &descriptor, document.bytes())
            .map_err(|failure| self.repository.error(failure))?;
        self.documents.insert(descriptor.digest, document.clone());
        Ok(())
    }

    fn commit(self: Box<Self>, root: &Descriptor) -> Result<(), Error> {
        let failed = |failure| self.repository.error(failure);
        if let Some(expected) = self.name.digest().filter(|digest| *digest != root.digest.0) {
            return Err(failed(other_digest(expected, root.digest.0)));
        }
        let (Some(tag), Some(document)) = (self.name.tag(), self.documents.get(&root.digest)) else {
            return Ok(());
        };
        self.repository.put_manifest(tag, root, document.bytes()).map_err(failed)
    }
}

fn other_digest(expected: Digest, found: Digest) -> Failure {
    Failure::OtherDigest { expected: expected.to_string(), found: found.to_string() }
}
