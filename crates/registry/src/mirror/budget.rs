//! How much is read of what a source lists: hostile lists have no end.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::descriptor::Descriptor;
use crate::error::Error;
use crate::image::Document;
use crate::source::ImageSource;
use crate::tree::{DOCUMENTS_LEN_MAX, NODES_MAX};

/// A source whose documents can be read until there are too many or they have too many bytes.
pub(super) struct Budget<'a> {
    pub(super) source: &'a dyn ImageSource,
    nodes_left: AtomicUsize,
    len_left: AtomicU64,
}

impl<'a> Budget<'a> {
    pub(super) fn new(source: &'a dyn ImageSource) -> Self {
        let (nodes_left, len_left) = (AtomicUsize::new(NODES_MAX), AtomicU64::new(DOCUMENTS_LEN_MAX));
        Self { source, nodes_left, len_left }
    }

    /// Takes note of so many descriptors.
    ///
    /// # Errors
    /// [`Error::TooManyDocuments`] when there are too many.
    pub(super) fn charge(&self, nodes: usize) -> Result<(), Error> {
        let take = |left: usize| left.checked_sub(nodes);
        let taken = self.nodes_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        let place = || Box::new(self.source.reference().clone());
        taken.map(drop).map_err(|_| Error::TooManyDocuments { place: place(), limit: NODES_MAX })
    }

    /// Reads a document; `None` when it is not there.
    ///
    /// # Errors
    /// [`Error::DocumentsTooLong`] when too many bytes were read, and those of the source.
    pub(super) fn document(&self, listed: &Descriptor) -> Result<Option<Document>, Error> {
        let Some(document) = self.source.document(listed)? else { return Ok(None) };
        let len = document.bytes().len() as u64;
        let take = |left: u64| left.checked_sub(len);
        let taken = self.len_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        let place = || Box::new(self.source.reference().clone());
        taken.map_err(|_| Error::DocumentsTooLong { place: place(), limit: DOCUMENTS_LEN_MAX })?;
        Ok(Some(document))
    }
}
