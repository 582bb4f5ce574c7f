//! Removing layers that nobody needs.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::place::{Place, TAR_SPLIT};
use super::{AdditionalStore, list, remove_tree};
use crate::error::{Error, at_path};
use crate::record::{LayerId, LayerRecord, link_name};

/// What was removed, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// Layers that nothing needs.
    pub layers: Vec<LayerId>,
    /// Files and directories that no record names.
    pub leftovers: u64,
}

impl AdditionalStore {
    /// Finds the layers that are not `needed`, nor below one that is, and were not asked for since `grace`: whoever pulls may
    /// not have written down yet what it needs.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the list is; those of the file system.
    pub fn unneeded(&self, needed: &BTreeSet<LayerId>, grace: Duration) -> Result<Vec<LayerId>, Error> {
        let layers = self.layers()?;
        let mut kept: BTreeSet<&LayerId> = BTreeSet::new();
        // A layer comes after the one it lies on.
        for layer in layers.iter().rev() {
            let is_kept = kept.contains(&layer.id)
                || needed.contains(&layer.id)
                || self.place.was_asked_for(&layer.id, grace);
            if is_kept {
                kept.insert(&layer.id);
                kept.extend(&layer.parent);
            }
        }
        Ok(layers.iter().map(|layer| &layer.id).filter(|id| !kept.contains(id)).cloned().collect())
    }

    /// Removes layers, their records first, and what no record names. No one may publish meanwhile.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the list is; those of the file system.
    pub fn remove(&self, unneeded: &[LayerId]) -> Result<Removed, Error> {
        let gone: BTreeSet<_> = unneeded.iter().collect();
        let mut removed = Removed::default();
        list::change(&self.place, |layers| {
            let (stay, go): (Vec<LayerRecord>, _) =
                layers.drain(..).partition(|layer| !gone.contains(&layer.id));
            *layers = stay;
            removed.layers = go.into_iter().map(|layer| layer.id).collect();
            !removed.layers.is_empty()
        })?;
        let removed_files = self.place.strays(&self.layers()?)?;
        for path in &removed_files {
            remove_tree(path)?;
        }
        let own = removed.layers.len().saturating_mul(FILES_OF_LAYER);
        removed.leftovers = removed_files.len().saturating_sub(own) as u64;
        Ok(removed)
    }
}

/// A directory, a link and a tar-split.
const FILES_OF_LAYER: usize = 3;

impl Place {
    fn was_asked_for(&self, id: &LayerId, grace: Duration) -> bool {
        let modified = fs::metadata(self.layer(id)).and_then(|metadata| metadata.modified());
        // A time in the future is one of a clock that was set back since.
        modified.is_ok_and(|time| SystemTime::now().duration_since(time).is_ok_and(|age| age < grace))
    }

    /// Lists what no record names.
    fn strays(&self, layers: &[LayerRecord]) -> Result<Vec<PathBuf>, Error> {
        let ids: BTreeSet<_> = layers.iter().map(|layer| layer.id.as_str().to_owned()).collect();
        let links: BTreeSet<_> = layers.iter().map(|layer| link_name(&layer.id)).collect();
        let tar_splits: BTreeSet<_> = ids.iter().map(|id| format!("{id}{TAR_SPLIT}")).collect();
        let kept_records =
            |name: &str| name == "layers.json" || name == "layers.lock" || tar_splits.contains(name);
        let mut strays = Vec::new();
        strays.extend(names(self.layers(), |name| name == "l" || ids.contains(name))?);
        strays.extend(names(self.links(), |name| links.contains(name))?);
        strays.extend(names(self.records(), kept_records)?);
        strays.extend(names(self.staging(), |_| false)?);
        Ok(strays)
    }
}

/// Lists what is in a directory, but for what is kept.
fn names(directory: PathBuf, is_kept: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, Error> {
    let failed = || at_path("list", &directory);
    let mut found = Vec::new();
    for entry in fs::read_dir(&directory).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        if !entry.file_name().to_str().is_some_and(&is_kept) {
            found.push(entry.path());
        }
    }
    Ok(found)
}
