//! Checking a store, and repairing it.

use std::fmt;
use std::fs;

use serde::Serialize;

use super::{AdditionalStore, list};
use crate::error::{Error, at_path, shorten};
use crate::file::{self, LIST_LEN_MAX};
use crate::lock::OwnLock;
use crate::record::{LayerId, LayerRecord};

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
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List { reason } => write!(f, "a list cannot be read: {}", shorten(reason)),
            Self::Layer { id } => write!(f, "layer {} lacks files", id.as_str()),
        }
    }
}

impl AdditionalStore {
    /// Checks whether engines can read the lists, and whether every layer has its files.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn check(&self) -> Result<Findings, Error> {
        let mut findings = Vec::new();
        if let Err(reason) = self.check_images() {
            findings.push(Finding::List { reason });
        }
        match self.layers() {
            Ok(layers) => {
                let lacking = layers.into_iter().filter(|layer| !self.place.is_whole(&layer.id));
                findings.extend(lacking.map(|layer| Finding::Layer { id: layer.id }));
            }
            Err(error @ Error::File { .. }) => return Err(error),
            Err(error) => findings.push(Finding::List { reason: error.to_string() }),
        }
        Ok(Findings(findings))
    }

    /// Repairs what [`AdditionalStore::check`] finds. A list that cannot be read is made anew of the records that can, and
    /// whose layers are whole; layers that lack files are no longer listed, so that the next pull publishes them.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn repair(&self) -> Result<Findings, Error> {
        AdditionalStore::setup(self.path())?;
        let findings = self.check()?;
        if findings.0.is_empty() {
            return Ok(findings);
        }
        if self.check_images().is_err() {
            file::replace(&self.images(), b"[]", 0o600)?;
        }
        let _writer = OwnLock::take(&self.place.writer_lock())?;
        list::write(&self.place, &self.salvage()?)?;
        Ok(findings)
    }

    /// Returns the records that make sense, of layers that are whole and lie on such.
    fn salvage(&self) -> Result<Vec<LayerRecord>, Error> {
        let path = self.place.list();
        let json = fs::read(&path).map_err(at_path("read", &path))?;
        let values: Vec<serde_json::Value> = serde_json::from_slice(&json).unwrap_or_default();
        let mut layers: Vec<LayerRecord> = Vec::new();
        for value in values {
            let Ok(layer) = serde_json::from_value::<LayerRecord>(value) else { continue };
            let is_known = |id: &LayerId| layers.iter().any(|layer| layer.id == *id);
            let has_parent = layer.parent.as_ref().is_none_or(is_known);
            if has_parent && !is_known(&layer.id) && self.place.is_whole(&layer.id) {
                layers.push(layer);
            }
        }
        Ok(layers)
    }

    fn images(&self) -> std::path::PathBuf {
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
