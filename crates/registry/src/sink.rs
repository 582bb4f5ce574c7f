//! Where images are written to.

use std::io::Write;

use chunked::BlobDigest;

use crate::client::SparsePolicy;
use crate::descriptor::Descriptor;
use crate::error::Error;
use crate::image::Document;
use crate::reference::Reference;

/// An image being written: its blobs first, then its documents, and at last its name.
///
/// Blobs that were committed may stay when the image is given up; the name appears only with [`ImageSink::commit`].
pub trait ImageSink: Send {
    /// Returns the reference it was opened by.
    fn reference(&self) -> &Reference;

    /// Tells whether a blob of this digest and length is there already, and intact: where nobody else vouches for that,
    /// all of it is read.
    fn has_blob(&self, digest: &BlobDigest, len: u64) -> Result<bool, Error>;

    /// Takes a blob from another image of the same place, without moving its bytes; `false` when that is not possible.
    fn adopt_blob(&mut self, _digest: &BlobDigest, _from: &Reference) -> Result<bool, Error> {
        Ok(false)
    }

    /// Tells whether a manifest or index is there already.
    fn has_document(&self, descriptor: &Descriptor) -> Result<bool, Error> {
        self.has_blob(&descriptor.digest, descriptor.len)
    }

    /// Returns the digest of what has the image's name now, or another tag beside it; `None` when nothing has.
    fn tagged(&self, _tag: Option<&str>) -> Result<Option<BlobDigest>, Error> {
        Ok(None)
    }

    /// Lists the manifests there whose subject is `subject`.
    fn referrers(&self, _subject: &BlobDigest) -> Result<Vec<Descriptor>, Error> {
        Ok(Vec::new())
    }

    /// Says what is known of what becomes of an index some of whose children are not there.
    fn sparse_policy(&self) -> Result<SparsePolicy, Error> {
        Ok(SparsePolicy::Taken)
    }

    /// Starts a blob whose digest is not known yet.
    fn start_blob(&mut self) -> Result<Box<dyn StagedBlob + '_>, Error>;

    /// Adds a manifest or index, whose content is there already as far as it will be. One that has a subject is listed
    /// among the referrers of that.
    fn put_document(&mut self, document: &Document) -> Result<(), Error>;

    /// Adds a document under another tag beside the image's name; the tag appears with [`ImageSink::commit`], or earlier.
    fn put_tagged(&mut self, tag: &str, document: &Document) -> Result<(), Error>;

    /// Finds out whether an index of nothing but missing children is taken; it does not stay.
    fn try_document(&mut self, _document: &Document) -> Result<(), Error> {
        Ok(())
    }

    /// Makes the image visible under its name, once everything written is safe from a power loss.
    fn commit(self: Box<Self>, root: &Descriptor) -> Result<(), Error>;

    /// Adds the image's own manifest or index, and makes it visible under its name.
    fn commit_document(mut self: Box<Self>, root: &Document) -> Result<(), Error> {
        self.put_document(root)?;
        self.commit(&root.descriptor())
    }
}

/// Writes a document where it is a blob like others.
pub(crate) fn write_document(sink: &mut dyn ImageSink, document: &Document) -> Result<(), Error> {
    let place = Box::new(sink.reference().clone());
    let mut blob = sink.start_blob()?;
    blob.write_all(document.bytes()).map_err(|source| Error::WriteBlob { place, source })?;
    blob.commit(document.descriptor().digest).map(drop)
}

/// A blob being written. Dropped before its commit, it leaves nothing.
pub trait StagedBlob: Write {
    /// Publishes the bytes written under `digest`, which the caller computed from these very bytes; returns their count.
    fn commit(self: Box<Self>, digest: BlobDigest) -> Result<u64, Error>;
}
