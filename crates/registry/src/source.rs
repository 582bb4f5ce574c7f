//! Where images are read from.

use std::io::Read;

use chunked::BlobDigest;

use crate::blob::{Blob, read_verified};
use crate::descriptor::Descriptor;
use crate::error::Error;
use crate::image::{DOCUMENT_LEN_MAX, Document, Invalid};
use crate::reference::Reference;

/// An image that can be read: in a layout, in an archive, in a registry.
///
/// What a document lists need not be there: a mirror may hold only some platforms of an index. Absence is therefore an
/// answer, `None`; only what is there but cannot be read is an error.
pub trait ImageSource: Send + Sync {
    /// Returns the reference it was opened by.
    fn reference(&self) -> &Reference;

    /// Describes the image's manifest or index.
    fn root(&self) -> &Descriptor;

    /// Reads a manifest or index; `None` when it is not there.
    ///
    /// # Errors
    /// [`Error::Document`] when it is not what `descriptor` promises, or malformed.
    fn document(&self, descriptor: &Descriptor) -> Result<Option<Document>, Error>;

    /// Opens a blob; `None` when it is not there. The content is not verified yet.
    ///
    /// # Errors
    /// [`Error::BlobLen`] when it has another length than `descriptor` promises.
    fn blob(&self, descriptor: &Descriptor) -> Result<Option<Box<dyn Blob + '_>>, Error>;

    /// Opens a blob that has to be there. In a registry nobody is asked: that it is not there, or has another length, shows
    /// when it is read.
    ///
    /// # Errors
    /// [`Error::NoBlob`] when it is known not to be there, and those of [`ImageSource::blob`].
    fn expect_blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Blob + '_>, Error> {
        self.blob(descriptor)?.ok_or_else(|| self.no_blob(descriptor))
    }

    /// Lists the manifests beside the image whose subject is `subject`: signatures, attestations, bills of materials.
    ///
    /// # Errors
    /// When they cannot be listed.
    fn referrers(&self, _subject: &BlobDigest) -> Result<Vec<Descriptor>, Error> {
        Ok(Vec::new())
    }

    /// Describes the manifest or index that has another tag beside the image; `None` when nothing has.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn tagged(&self, _tag: &str) -> Result<Option<Descriptor>, Error> {
        Ok(None)
    }

    /// Reads and verifies a blob of at most 4 MiB, such as a configuration; `None` when it is not there.
    ///
    /// # Errors
    /// [`Error::Document`] when it is too long, or not what `descriptor` promises.
    fn small_blob(&self, descriptor: &Descriptor) -> Result<Option<Vec<u8>>, Error> {
        let invalid = |invalid| self.document_error(descriptor, invalid);
        if descriptor.len > DOCUMENT_LEN_MAX {
            return Err(invalid(Invalid::TooLong { len: descriptor.len, limit: DOCUMENT_LEN_MAX }));
        }
        let Some(blob) = self.blob(descriptor)? else { return Ok(None) };
        let mut bytes = Vec::new();
        read_verified(&*blob, descriptor)
            .and_then(|mut body| body.read_to_end(&mut bytes))
            .map_err(|source| self.read_error(descriptor, source))?;
        Ok(Some(bytes))
    }

    /// Says that a blob this image needs is not there.
    fn no_blob(&self, descriptor: &Descriptor) -> Error {
        Error::NoBlob { place: Box::new(self.reference().clone()), digest: Box::new(descriptor.digest) }
    }

    /// Says that a document of this image is not what it should be.
    fn document_error(&self, descriptor: &Descriptor, source: Invalid) -> Error {
        Error::Document {
            place: Box::new(self.reference().clone()),
            digest: Box::new(descriptor.digest),
            source,
        }
    }

    /// Says that a blob of this image could not be read.
    fn read_error(&self, descriptor: &Descriptor, source: std::io::Error) -> Error {
        Error::ReadBlob {
            place: Box::new(self.reference().clone()),
            digest: Box::new(descriptor.digest),
            source,
        }
    }
}
