//! Which layers a store's daemon serves, whether it runs or not.

use std::collections::BTreeSet;
use std::path::Path;

use chunked::{BlobDigest, TocDigest};

use super::RunDirectory;
use super::attachments::Attachments;
use super::nodes::Nodes;
use crate::error::Error;

/// Layers that the daemon of a store serves, or the next one will, whether they are mounted or not.
#[derive(Debug, Default)]
pub struct ServedLayers {
    /// Those of images that are attached.
    pub attached: BTreeSet<TocDigest>,
    /// Those that the kernel may remember files of.
    pub remembered: BTreeSet<TocDigest>,
}

impl ServedLayers {
    /// Lists the layers that the daemon of the store at `store` serves.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn of(store: &Path) -> Result<Self, Error> {
        let attached = Attachments::of(store).list()?.into_iter().flat_map(|attachment| attachment.layers);
        let remembered = Nodes::of(&RunDirectory::path_in(store)).list()?;
        Ok(Self { attached: attached.collect(), remembered: remembered.into_iter().collect() })
    }

    /// Lists all of them.
    pub fn all(&self) -> BTreeSet<TocDigest> {
        self.attached.union(&self.remembered).copied().collect()
    }
}

/// Has the next daemon of the store at `store` not serve an image. No daemon runs meanwhile: whoever calls this has the store
/// for itself.
///
/// # Errors
/// Those of the file system.
pub fn forget(store: &Path, manifest: &BlobDigest) -> Result<(), Error> {
    Attachments::of(store).remove(manifest).map(drop)
}
