//! The list of layers, and replacing it.

use super::place::Place;
use crate::error::{Error, damaged};
use crate::file::{self, LIST_LEN_MAX};
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

/// Replaces the list by what `change` makes of it, so that every engine notices; nothing is written when it returns
/// `false`.
pub(super) fn change(
    place: &Place,
    change: impl FnOnce(&mut Vec<LayerRecord>) -> bool,
) -> Result<bool, Error> {
    let path = place.list();
    let _writer = OwnLock::take(&place.writer_lock())?;
    let mut layers = read(place)?;
    if !change(&mut layers) {
        return Ok(false);
    }
    write(place, &layers).map(|()| true).map_err(|error| match error {
        Error::Damaged { reason, .. } => Error::Damaged { path, reason },
        error => error,
    })
}

/// Writes the list after reading what is to be written with the parser that everyone uses. The caller is the only writer.
pub(super) fn write(place: &Place, layers: &[LayerRecord]) -> Result<(), Error> {
    let path = place.list();
    let json = serde_json::to_vec(layers).map_err(|error| damaged(&path, error))?;
    let again: Vec<LayerRecord> = list(&json).map_err(|error| damaged(&path, error))?;
    validate(&again).map_err(|reason| damaged(&path, reason))?;
    if again != layers {
        return Err(damaged(&path, "it would be read as something else"));
    }
    let lock_path = place.list_lock();
    let lock = ListLock::take(&lock_path)?;
    lock.renew_token(&lock_path)?;
    file::replace(&path, &json, MODE)
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
