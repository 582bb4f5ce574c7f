//! An image of a registry, for reading.

use std::collections::HashSet;
use std::sync::{Mutex, OnceLock, PoisonError};

use chunked::{BlobDigest, Digest};

use super::blob::RemoteBlob;
use crate::blob::Blob;
use crate::client::{Fetched, Registries, Repository};
use crate::descriptor::Descriptor;
use crate::error::Error;
use crate::image::{DOCUMENT_LEN_MAX, Document, Invalid, check_body};
use crate::name::Name;
use crate::reference::Reference;
use crate::source::ImageSource;

/// An image of a registry. Its manifest or index is read when it is opened, so that its tag means one thing.
#[derive(Debug)]
pub(crate) struct RemoteImage {
    repository: Repository,
    reference: Reference,
    root: Descriptor,
    root_bytes: Vec<u8>,
    /// Blobs that are known to be there.
    present: Mutex<HashSet<BlobDigest>>,
    /// All tags of the repository, once they were asked for; `None` when they cannot be listed, or are too many.
    tags: OnceLock<Option<HashSet<String>>>,
}

/// Most tags that are listed to find some of them: ten requests. Among more, each is asked for.
const TAGS_MAX: usize = 10_000;

impl RemoteImage {
    /// Asks for the manifest or index that `name` says, completed if it was written without a host.
    ///
    /// # Errors
    /// [`Error::Registry`] when there is none or it cannot be had, [`Error::Document`] when it has another digest than
    /// the name.
    pub(crate) fn open(registries: &Registries, name: &Name) -> Result<Self, Error> {
        let name = registries.complete(name)?;
        let repository = registries.repository(&name)?;
        let which = match (name.digest(), name.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.unwrap_or("latest").to_owned(),
        };
        let Fetched { media_type, bytes } =
            repository.get_manifest(&which)?.ok_or_else(|| repository.missing())?;
        let digest = name.digest().unwrap_or_else(|| Digest::of(&bytes));
        let root = Descriptor::new(media_type, BlobDigest(digest), bytes.len() as u64);
        let image = Self {
            repository,
            reference: Reference::Registry(name),
            root,
            root_bytes: bytes,
            present: Mutex::default(),
            tags: OnceLock::new(),
        };
        check_body(&image.root, &image.root_bytes)
            .map_err(|invalid| image.document_error(&image.root, invalid))?;
        Ok(image)
    }

    pub(crate) fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Tells whether a tag may be there.
    fn may_have_tag(&self, tag: &str) -> bool {
        let list = || Some(self.repository.tags(TAGS_MAX).ok()??.into_iter().collect());
        self.tags.get_or_init(list).as_ref().is_none_or(|tags: &HashSet<String>| tags.contains(tag))
    }

    fn is_known(&self, digest: &BlobDigest) -> bool {
        self.present.lock().unwrap_or_else(PoisonError::into_inner).contains(digest)
    }
}

impl ImageSource for RemoteImage {
    fn reference(&self) -> &Reference {
        &self.reference
    }

    fn root(&self) -> &Descriptor {
        &self.root
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Option<Document>, Error> {
        let bytes = if descriptor.digest == self.root.digest {
            self.root_bytes.clone()
        } else {
            let Some(fetched) = self.repository.get_manifest(&descriptor.digest.to_string())? else {
                return Ok(None);
            };
            fetched.bytes
        };
        Document::parse(descriptor, bytes)
            .map(Some)
            .map_err(|invalid| self.document_error(descriptor, invalid))
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Option<Box<dyn Blob + '_>>, Error> {
        if !self.is_known(&descriptor.digest) {
            let Some(stated) = self.repository.find_blob(&descriptor.digest)? else { return Ok(None) };
            if let Some(found) = stated.len.filter(|len| *len != descriptor.len) {
                return Err(Error::BlobLen {
                    place: Box::new(self.reference.clone()),
                    digest: Box::new(descriptor.digest),
                    expected: descriptor.len,
                    found,
                });
            }
            self.present.lock().unwrap_or_else(PoisonError::into_inner).insert(descriptor.digest);
        }
        self.expect_blob(descriptor).map(Some)
    }

    fn expect_blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Blob + '_>, Error> {
        Ok(Box::new(RemoteBlob::new(&self.repository, descriptor, self.repository.hosts().clone())))
    }

    fn referrers(&self, subject: &BlobDigest) -> Result<Vec<Descriptor>, Error> {
        self.repository.referrers(subject)
    }

    fn tagged(&self, tag: &str) -> Result<Option<Descriptor>, Error> {
        if !self.may_have_tag(tag) {
            return Ok(None);
        }
        let fetched = self.repository.get_manifest(tag)?;
        Ok(fetched.map(|Fetched { media_type, bytes }| {
            Descriptor::new(media_type, BlobDigest::of(&bytes), bytes.len() as u64)
        }))
    }

    fn small_blob(&self, descriptor: &Descriptor) -> Result<Option<Vec<u8>>, Error> {
        let invalid = |invalid| self.document_error(descriptor, invalid);
        if descriptor.len > DOCUMENT_LEN_MAX {
            return Err(invalid(Invalid::TooLong { len: descriptor.len, limit: DOCUMENT_LEN_MAX }));
        }
        let Some(bytes) = self.repository.get_small_blob(&descriptor.digest, descriptor.len)? else {
            return Ok(None);
        };
        check_body(descriptor, &bytes).map_err(invalid)?;
        Ok(Some(bytes))
    }
}
