use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::contents::Wanted;
use crate::error::Error;
use crate::partials::Partial;
use crate::store::Store;

/// The partials of one fetch that several decoders write to at the moment. They are closed when nobody does.
#[derive(Debug, Default)]
pub(crate) struct OpenPartials<'a> {
    open: Mutex<HashMap<usize, Weak<Partial<'a>>>>,
}

impl<'a> OpenPartials<'a> {
    /// Opens the partial of a content; `None` when the content is complete already.
    pub(super) fn open(
        &self,
        store: &'a Store,
        wanted: &Wanted<'_>,
    ) -> Result<Option<Arc<Partial<'a>>>, Error> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(partial) = open.get(&wanted.entry).and_then(Weak::upgrade) {
            return Ok(Some(partial));
        }
        let Some(partial) = store.partials().open(&wanted.digest, wanted.chunks)? else { return Ok(None) };
        let partial = Arc::new(partial);
        open.retain(|_, partial| partial.strong_count() > 0);
        open.insert(wanted.entry, Arc::downgrade(&partial));
        Ok(Some(partial))
    }
}
