//! What images say of the tars of their layers.

use chunked::{Class, DiffId};
use serde::Deserialize;

use super::{Image, Images};
use crate::error::Error;

/// Of an image's config, what says which tars its layers are.
#[derive(Deserialize)]
struct Config {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<DiffId>,
}

impl Images {
    /// Returns the diff IDs that an image's config claims for its layers, the lowest first; `None` when the config is not here,
    /// or does not say it of all of them. A claim is the image's own: another image may claim something else of the same
    /// layer, and only the proof of the layer tells which of them is right.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn claims(&self, image: &Image) -> Result<Option<Vec<DiffId>>, Error> {
        let json = match self.document(&image.config) {
            Err(error) if error.class() == Class::Corrupt => None,
            found => found?,
        };
        let config: Option<Config> = json.and_then(|json| serde_json::from_slice(&json).ok());
        let Some(mut claims) = config.map(|config| config.rootfs.diff_ids) else { return Ok(None) };
        // What is mounted for an engine may be only the lowest of an image's layers.
        let is_enough = claims.len() >= image.layers.len();
        claims.truncate(image.layers.len());
        Ok(is_enough.then_some(claims))
    }
}
