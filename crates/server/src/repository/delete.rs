//! Taking manifests, tags and blobs away.

use chunked::BlobDigest;
use registry::Descriptor;

use super::push::{blobs, children};
use super::{Contents, Repository, listing};
use crate::error::Error;

/// What became of a blob that was to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BlobDeletion {
    /// It is gone.
    Deleted,
    /// There was none.
    NotThere,
    /// This manifest needs it, or is it.
    Needed(BlobDigest),
}

impl Repository {
    /// Takes a tag away; what it named stays. `false` when there is none.
    pub(crate) fn untag(&self, tag: &str) -> Result<bool, Error> {
        let _lock = self.directory.lock()?;
        let before = self.contents()?;
        let mut index = before.index.clone();
        if !listing::untag(&mut index, tag) {
            return Ok(false);
        }
        listing::tidy(&mut index, |digest| before.is_child(digest));
        self.write_index(&index, &before)?;
        self.remember(index, Some(&before))?;
        Ok(true)
    }

    /// Deletes a manifest with all its tags; `false` when there is none. What an index lists stays, and so do indexes that
    /// list it: they become sparse.
    pub(crate) fn delete_manifest(&self, digest: &BlobDigest) -> Result<bool, Error> {
        let _lock = self.directory.lock()?;
        let before = self.contents()?;
        let Some(node) = before.node(digest) else { return Ok(false) };
        let Some(document) = self.document(&node.descriptor)? else { return Ok(false) };
        let mut index = before.index.clone();
        listing::remove(&mut index, digest);
        let orphans = children(&document).iter().filter(|child| is_here(&before, child));
        listing::add(&mut index, orphans.map(Descriptor::bare));
        listing::tidy(&mut index, |child| is_listed_elsewhere(&before, child, digest));
        // The list comes first: a manifest that is listed and gone would be taken for absent on purpose.
        self.write_index(&index, &before)?;
        self.remove(digest)?;
        // What it said must be forgotten, too, should another index list it.
        self.remember(index, None)?;
        Ok(true)
    }

    /// Deletes a blob that no manifest here needs.
    pub(crate) fn delete_blob(&self, digest: &BlobDigest) -> Result<BlobDeletion, Error> {
        let _lock = self.directory.lock()?;
        if self.open(digest)?.is_none() {
            return Ok(BlobDeletion::NotThere);
        }
        let contents = self.contents()?;
        for node in contents.nodes().filter(|node| node.summary.is_some()) {
            let document = self.document(&node.descriptor)?;
            let needs = |document| blobs(document).iter().any(|blob| blob.digest == *digest);
            if node.descriptor.digest == *digest || document.as_ref().is_some_and(needs) {
                return Ok(BlobDeletion::Needed(node.descriptor.digest));
            }
        }
        self.remove(digest)?;
        Ok(BlobDeletion::Deleted)
    }
}

fn is_here(contents: &Contents, child: &Descriptor) -> bool {
    contents.node(&child.digest).is_some_and(|node| node.summary.is_some())
}

/// Tells whether another index than the one that goes lists it.
fn is_listed_elsewhere(contents: &Contents, digest: &BlobDigest, going: &BlobDigest) -> bool {
    contents.node(digest).is_some_and(|node| node.listed.iter().any(|listing| listing.index != *going))
}
