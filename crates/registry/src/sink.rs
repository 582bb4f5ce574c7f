//! Where images are written to.

use std::io::Write;

use chunked::BlobDigest;

use crate::descriptor::Descriptor;
use crate::error::Error;
use crate::image::Document;
use crate::reference::Reference;

/// An image being written: its blobs first, then its documents, and at last its name.
///
/// Blobs that were committed may stay when the image is given up; the name appears only with [`ImageSink::commit`].
pub trait ImageSink {
    /// Returns the reference it was opened by.
    fn reference(&self) -> &Reference;

    /// Tells whether a blob of this digest and length is there already, and intact: where nobody else vouches for that,
    /// all of it is read.
    fn has_blob(&self, digest: &BlobDigest, len: u64) -> Result<bool, Error>;

    /// Takes a blob from another image of the same place, without moving its bytes; `false` when that is not possible.
    fn adopt_blob(&mut self, _digest: &BlobDigest, _from: &Reference) -> Result<bool, Error> {
        Ok(false)
    }

    /// Starts a blob whose digest is not known yet.
    fn start_blob(&mut self) -> Result<Box<dyn StagedBlob + '_>, Error>;

    /// Adds a manifest or index, whose content is there already as far as it will be.
    fn put_document(&mut self, document: &Document) -> Result<(), Error> {
        let place = Box::new(self.reference().clone());
        let mut blob = self.start_blob()?;
        blob.write_all(document.bytes()).map_err(|source| Error::WriteBlob { place, source })?;
        blob.commit(document.descriptor().digest).map(drop)
    }

    /// Makes the image visible under its name, once everything written is safe from a power loss.
    fn commit(self: Box<Self>, root: &Descriptor) -> Result<(), Error>;
}

/// A blob being written. Dropped before its commit, it leaves nothing.
pub trait StagedBlob: Write {
    /// Publishes the bytes written under `digest`, which the caller computed from these very bytes; returns their count.
    fn commit(self: Box<Self>, digest: BlobDigest) -> Result<u64, Error>;
}
