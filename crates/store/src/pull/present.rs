//! Which layers need not be brought in, because they are here.

use chunked::annotations::Annotations;
use chunked::{BlobDigest, DiffId, TocDigest};

use crate::error::Error;
use crate::fetch::Verification;
use crate::layers::{LayerRecord, LayerState, Origin, if_sound};
use crate::store::Store;

/// What an image says of one of its layers, by which it is recognized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The digest of its blob.
    pub blob: BlobDigest,
    /// The digest of its TOC, which the annotations of its descriptor hold.
    pub toc_digest: Option<TocDigest>,
    /// The digest of its tar, which the image's configuration holds.
    pub diff_id: Option<DiffId>,
}

impl Identity {
    /// Puts together what an image says; `lookup` finds an annotation of the layer's descriptor.
    pub fn new<'a>(
        blob: BlobDigest,
        diff_id: Option<DiffId>,
        lookup: impl Fn(&str) -> Option<&'a str>,
    ) -> Self {
        let toc_digest = match Annotations::parse(lookup) {
            Ok(Some(Annotations::ZstdChunked { toc_digest, .. })) => Some(toc_digest),
            _ => None,
        };
        Self { blob, toc_digest, diff_id }
    }

    /// Tells whether a layer of the store is the one, and as trusted as is wanted.
    ///
    /// That it came in a blob of that name says nothing: of a blob that was read in parts nobody knows the digest, and its
    /// image may have lied. What counts is what was verified: the tar, the TOC, or the whole blob.
    fn is_of(&self, record: &LayerRecord, verification: Verification) -> bool {
        let is_proven = record.state == LayerState::Proven;
        let has_tar = is_proven && self.diff_id.is_some() && record.diff_id == self.diff_id;
        let has_blob = record.origin == Origin::IndexedPlain && record.blob == self.blob;
        let has_toc = self.toc_digest == Some(record.toc_digest);
        match (verification, self.diff_id) {
            (Verification::DiffId, Some(_)) => has_tar,
            (Verification::DiffId, None) => is_proven && (has_toc || has_blob),
            (Verification::Toc, _) => has_tar || (record.state >= LayerState::Complete && has_toc),
        }
    }
}

/// Finds a layer that is here and as trusted as is wanted, so that nothing is fetched for it.
///
/// # Errors
/// Those of the store.
pub fn find_present(
    store: &Store,
    identity: &Identity,
    verification: Verification,
) -> Result<Option<LayerRecord>, Error> {
    let layers = store.layers();
    let is_it = |record: &LayerRecord| identity.is_of(record, verification);
    if let Some(record) = if_sound(layers.find(&identity.blob))?.filter(is_it) {
        return Ok(Some(record));
    }
    if let Some(toc_digest) = &identity.toc_digest
        && let Some(record) = if_sound(layers.get(toc_digest))?.filter(is_it)
    {
        return Ok(Some(record));
    }
    match &identity.diff_id {
        Some(diff_id) => Ok(if_sound(layers.find_diff_id(diff_id))?.filter(is_it)),
        None => Ok(None),
    }
}
