//! Checking a store, and repairing it.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::PathBuf;

use serde::Serialize;

use super::AdditionalStore;
use super::list::Writer;
use super::place::RECORD;
use crate::error::{Error, at_path, shorten};
use crate::file::{self, LIST_LEN_MAX};
use crate::record::{LayerId, LayerRecord};

/// Longest record of a layer.
const RECORD_LEN_MAX: u64 = 1 << 20;

/// What is wrong with a store, or was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Findings(pub Vec<Finding>);

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum Finding {
    /// A list cannot be read, and engines fail with every command.
    List {
        /// Why.
        reason: String,
    },
    /// A layer is listed and lacks files, so its containers do not start.
    Layer {
        /// Which.
        id: LayerId,
    },
    /// The files of a layer are not mounted, so its containers do not start.
    Unmounted {
        /// Which.
        id: LayerId,
    },
    /// Something is there that no list names, and engines stumble over it when they make a layer of that ID.
    Stray {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List { reason } => write!(f, "a list cannot be read: {}", shorten(reason)),
            Self::Layer { id } => write!(f, "layer {id} lacks files"),
            Self::Unmounted { id } => write!(f, "layer {id} is not mounted"),
            Self::Stray { name } => write!(f, "`{}` is not listed", shorten(name)),
        }
    }
}

impl AdditionalStore {
    /// Checks whether engines can read the lists, and whether every layer has its files.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn check(&self) -> Result<Findings, Error> {
        let mut findings = self.damage()?;
        let unmounted = self.unmounted().unwrap_or_default();
        findings.0.extend(unmounted.into_iter().map(|(id, _)| Finding::Unmounted { id }));
        Ok(findings)
    }

    /// Checks all but whether what should be mounted is.
    fn damage(&self) -> Result<Findings, Error> {
        let mut findings = Vec::new();
        if let Err(reason) = self.check_images() {
            findings.push(Finding::List { reason });
        }
        match self.layers() {
            Ok(layers) => {
                let lacking = layers.iter().filter(|layer| !self.place.is_whole(&layer.id));
                findings.extend(lacking.map(|layer| Finding::Layer { id: layer.id.clone() }));
                let strays = self.strays(&layers)?;
                let name =
                    |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                findings.extend(strays.iter().map(|path| Finding::Stray { name: name(path) }));
            }
            Err(error) => findings.push(Finding::List { reason: error.to_string() }),
        }
        Ok(Findings(findings))
    }

    /// Repairs what [`AdditionalStore::check`] finds. A list that cannot be read is made anew of the records beside the layers;
    /// layers that lack files, and those above, are no longer listed, so that the next pull publishes them. To mount what is not
    /// mounted is for [`AdditionalStore::restore`].
    ///
    /// # Errors
    /// Those of the file system.
    pub fn repair(&self) -> Result<Findings, Error> {
        if self.damage()?.0.is_empty() {
            return Ok(Findings::default());
        }
        // Again, for what somebody was just about to list.
        let findings = self.check_alone()?;
        if findings.0.is_empty() {
            return Ok(findings);
        }
        // Only now, as it puts an empty list where there is none.
        let is_lost = self.layers().is_err();
        AdditionalStore::setup(self.path())?;
        if self.check_images().is_err() {
            file::replace(&self.images(), b"[]", 0o600)?;
        }
        let writer = Writer::take(&self.place)?;
        let candidates = if is_lost { self.records()? } else { self.layers()? };
        writer.replace(&self.whole(candidates), || Ok(()))?;
        self.sweep(&writer)?;
        Ok(findings)
    }

    /// Checks while nobody publishes. Without directories nobody can.
    fn check_alone(&self) -> Result<Findings, Error> {
        let _writer = Writer::take(&self.place).ok();
        self.damage()
    }

    /// Reads the records beside the layers.
    fn records(&self) -> Result<Vec<LayerRecord>, Error> {
        let layers = self.place.layers();
        if !layers.exists() {
            return Ok(Vec::new());
        }
        let entries = fs::read_dir(&layers).map_err(at_path("list", &layers))?.flatten();
        let read = |path: PathBuf| {
            let json = file::read(&path.join(RECORD), RECORD_LEN_MAX).ok().flatten()?;
            let record: LayerRecord = serde_json::from_slice(&json).ok()?;
            path.ends_with(record.id.as_str()).then_some(record)
        };
        Ok(entries.filter_map(|entry| read(entry.path())).collect())
    }

    /// Returns the records of layers that are whole and lie on such, each after the one it lies on.
    fn whole(&self, mut candidates: Vec<LayerRecord>) -> Vec<LayerRecord> {
        candidates.retain(|layer| self.place.is_whole(&layer.id));
        let mut known = BTreeSet::new();
        let mut layers = Vec::new();
        loop {
            let is_next =
                |layer: &LayerRecord| layer.parent.as_ref().is_none_or(|parent| known.contains(parent));
            let (next, later): (Vec<_>, Vec<_>) = candidates.into_iter().partition(is_next);
            if next.is_empty() {
                return layers;
            }
            let new = next.into_iter().filter(|layer| known.insert(layer.id.clone())).collect::<Vec<_>>();
            layers.extend(new);
            candidates = later;
        }
    }

    fn images(&self) -> PathBuf {
        self.path().join("overlay-images/images.json")
    }

    /// Checks the list of images, which is empty.
    fn check_images(&self) -> Result<(), String> {
        let json = file::read(&self.images(), LIST_LEN_MAX).map_err(|error| error.to_string())?;
        let images: Vec<serde_json::Value> =
            crate::record::list(&json.unwrap_or_default()).map_err(|error| error.to_string())?;
        if images.is_empty() { Ok(()) } else { Err("there are images, and nobody put any there".to_owned()) }
    }
}
