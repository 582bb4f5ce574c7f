//! A sparse image, completed from where it was mirrored.

use std::fmt;

use chunked::BlobDigest;

use crate::blob::Blob;
use crate::descriptor::Descriptor;
use crate::error::Error;
use crate::image::Document;
use crate::reference::Reference;
use crate::source::ImageSource;

/// An image, with what it lacks from another place. What is asked for by digest may come from anywhere.
pub struct Completed {
    image: Box<dyn ImageSource>,
    upstream: Box<dyn ImageSource>,
}

impl fmt::Debug for Completed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = (self.image.reference(), self.upstream.reference());
        f.debug_tuple("Completed").field(places.0).field(places.1).finish()
    }
}

impl Completed {
    /// Takes from `upstream` what `image` does not have.
    pub fn new(image: Box<dyn ImageSource>, upstream: Box<dyn ImageSource>) -> Self {
        Self { image, upstream }
    }
}

impl ImageSource for Completed {
    fn reference(&self) -> &Reference {
        self.image.reference()
    }

    fn root(&self) -> &Descriptor {
        self.image.root()
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Option<Document>, Error> {
        match self.image.document(descriptor)? {
            None => self.upstream.document(descriptor),
            found => Ok(found),
        }
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Option<Box<dyn Blob + '_>>, Error> {
        match self.image.blob(descriptor)? {
            None => self.upstream.blob(descriptor),
            found => Ok(found),
        }
    }

    fn small_blob(&self, descriptor: &Descriptor) -> Result<Option<Vec<u8>>, Error> {
        match self.image.small_blob(descriptor)? {
            None => self.upstream.small_blob(descriptor),
            found => Ok(found),
        }
    }

    fn referrers(&self, subject: &BlobDigest) -> Result<Vec<Descriptor>, Error> {
        let mut all = self.image.referrers(subject)?;
        for more in self.upstream.referrers(subject)? {
            if !all.iter().any(|known| known.digest == more.digest) {
                all.push(more);
            }
        }
        Ok(all)
    }

    fn tagged(&self, tag: &str) -> Result<Option<Descriptor>, Error> {
        match self.image.tagged(tag)? {
            None => self.upstream.tagged(tag),
            found => Ok(found),
        }
    }
}
