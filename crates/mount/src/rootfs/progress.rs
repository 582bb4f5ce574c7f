//! How much of an image's content is here.

use std::collections::HashSet;

use serde::Serialize;
use store::{Image, LayerState, Store, contents};

use crate::error::Error;

/// How much of an image's content is in the store. Equal files count once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Progress {
    /// Files whose content is not here.
    pub missing_files: u64,
    /// Bytes of them.
    pub missing_len: u64,
}

impl Progress {
    /// Counts what of an image is not here. Layers that are complete are not looked into.
    ///
    /// # Errors
    /// Those of the store.
    pub fn of(store: &Store, image: &Image) -> Result<Self, Error> {
        let mut progress = Self::default();
        let mut seen = HashSet::new();
        for toc_digest in &image.layers {
            let Some(record) = store.layers().get(toc_digest)? else { continue };
            if record.state >= LayerState::Complete {
                continue;
            }
            let mut outcome = Ok(());
            store.layers().visit_toc(&record, |entry| {
                let Some((digest, len)) = contents::of(&entry) else { return };
                if outcome.is_ok() && seen.insert(digest) {
                    outcome = store.objects().len_of(&digest).map(|found| progress.add(len, found.is_some()));
                }
            })?;
            outcome?;
        }
        Ok(progress)
    }

    /// Tells whether everything is here.
    pub fn is_complete(&self) -> bool {
        self.missing_files == 0
    }

    fn add(&mut self, len: u64, is_here: bool) {
        if !is_here {
            self.missing_files += 1;
            self.missing_len = self.missing_len.saturating_add(len);
        }
    }
}
