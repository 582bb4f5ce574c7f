//! The list of layers, and replacing it.

use super::place::Place;
use crate::error::{Error, damaged};
use crate::file::{self, LIST_LEN_MAX, Replacement};
use crate::lock::{ListLock, OwnLock};
use crate::record::{LayerRecord, list};

/// The mode of lists in containers-storage.
const MODE: u32 = 0o600;

/// Reads the list. It is only ever renamed into place, so that takes no lock.
pub(super) fn read(place: &Place) -> Result<Vec<LayerRecord>, Error> {
    let path = place.list();
    let Some(json) = file::read(&path, LIST_LEN_MAX)? else {
        return Err(Error::NoStore { path: place.root().to_owned() });
    };
    let layers = list(&json).map_err(|error| damaged(&path, error))?;
    validate(&layers).map_err(|reason| damaged(&path, reason))?;
    Ok(layers)
}

/// The right to change the list, and the files that it is about. No engine reads either meanwhile for longer than it has read
/// before.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    place: &'a Place,
    _lock: OwnLock,
}

impl<'a> Writer<'a> {
    /// Waits until nobody else has it.
    pub(super) fn take(place: &'a Place) -> Result<Self, Error> {
        Ok(Self { place, _lock: OwnLock::take(&place.writer_lock())? })
    }

    /// Replaces the list, after `files` was done: puts files in place, or takes them away. What is to be written is read before
    /// with the parser that everyone uses.
    ///
    /// Engines take a directory of a layer for one that they may use or replace, listed or not. So both change under the lock
    /// that engines read under, with nothing in between but what has to be.
    pub(super) fn replace(
        &self,
        layers: &[LayerRecord],
        files: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let path = self.place.list();
        let json = serde_json::to_vec(layers).map_err(|error| damaged(&path, error))?;
        let again: Vec<LayerRecord> = list(&json).map_err(|error| damaged(&path, error))?;
        validate(&again).map_err(|reason| damaged(&path, reason))?;
        if again != layers {
            return Err(damaged(&path, "it would be read as something else"));
        }
        let staged = Replacement::stage(&path, &json, MODE)?;
        let lock_path = self.place.list_lock();
        let lock = ListLock::take(&lock_path)?;
        lock.renew_token(&lock_path)?;
        files()?;
        staged.commit()
    }
}

/// Checks what engines rely on: each layer once, and after the one it lies on.
fn validate(layers: &[LayerRecord]) -> Result<(), String> {
    let mut known = std::collections::BTreeSet::new();
    for layer in layers {
        if layer.parent.as_ref().is_some_and(|parent| !known.contains(parent)) {
            return Err(format!("layer {} lies on one that is not listed before", layer.id.as_str()));
        }
        if !known.insert(&layer.id) {
            return Err(format!("layer {} is listed twice", layer.id.as_str()));
        }
    }
    Ok(())
}
