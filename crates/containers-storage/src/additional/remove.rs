//! Removing layers that nobody needs.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use mount::rootfs;
use serde::Serialize;

use super::list::Writer;
use super::place::{Place, TAR_SPLIT};
use super::stage::move_away;
use super::{AdditionalStore, remove_tree};
use crate::engine::EngineStorage;
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

    /// Removes layers, and what no record names. No one may publish meanwhile.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the list is; those of the file system.
    pub fn remove(&self, unneeded: &[LayerId]) -> Result<Removed, Error> {
        let writer = Writer::take(&self.place)?;
        let (layers, swept) = self.unlist(&writer, unneeded)?;
        let staged = names(self.place.staging(), |_| false)?;
        staged.iter().try_for_each(remove_tree)?;
        Ok(Removed { layers, leftovers: swept.saturating_add(staged.len()) as u64 })
    }

    /// Removes layers from the list, with their files, and whatever else no record names. Returns those that were listed, and
    /// how much else that was.
    pub(super) fn unlist(
        &self,
        writer: &Writer<'_>,
        gone: &[LayerId],
    ) -> Result<(Vec<LayerId>, usize), Error> {
        let gone: BTreeSet<_> = gone.iter().collect();
        let (stay, go): (Vec<LayerRecord>, Vec<_>) =
            self.layers()?.into_iter().partition(|layer| !gone.contains(&layer.id));
        if !go.is_empty() {
            let take =
                || go.iter().try_for_each(|layer| move_away(&self.place, &self.place.layer(&layer.id)));
            writer.replace(&stay, take)?;
            go.iter().for_each(|layer| rootfs::detach(&self.place.mount(&layer.id)));
        }
        let swept = self.sweep(writer)?.saturating_sub(go.len().saturating_mul(FILES_OF_LAYER));
        Ok((go.into_iter().map(|layer| layer.id).collect(), swept))
    }

    /// Lists what no record names, but for directories that an engine took for its own: one that finds a directory of a layer
    /// here uses it, wherever its record is.
    pub(super) fn strays(&self, layers: &[LayerRecord]) -> Result<Vec<PathBuf>, Error> {
        let mut strays = self.place.strays(layers)?;
        if strays.is_empty() {
            return Ok(strays);
        }
        for path in self.engines()? {
            let theirs = EngineStorage::read(&path)?.layers();
            let is_theirs = |name: &str| {
                let id = LayerId::try_from(name.to_owned());
                id.is_ok_and(|id| theirs.contains(&id) && !path.join("overlay").join(name).exists())
            };
            strays.retain(|stray| !stray.file_name().and_then(|name| name.to_str()).is_some_and(is_theirs));
        }
        Ok(strays)
    }

    /// Removes what no record names, and returns how much that was: an engine that makes a layer of that ID itself would stumble
    /// over it.
    pub(super) fn sweep(&self, _writer: &Writer<'_>) -> Result<usize, Error> {
        let strays = self.strays(&self.layers()?)?;
        for path in &strays {
            match path.is_dir() {
                true => move_away(&self.place, path)?,
                false => remove_tree(path)?,
            }
        }
        Ok(strays.len())
    }
}

/// A link and a tar-split.
const FILES_OF_LAYER: usize = 2;

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
        Ok(strays)
    }
}

/// Lists what is in a directory, but for what is kept.
fn names(directory: PathBuf, is_kept: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, Error> {
    let failed = || at_path("list", &directory);
    let mut found = Vec::new();
    if !directory.exists() {
        return Ok(found);
    }
    for entry in fs::read_dir(&directory).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        if !entry.file_name().to_str().is_some_and(&is_kept) {
            found.push(entry.path());
        }
    }
    Ok(found)
}
