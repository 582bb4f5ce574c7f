//! Layers whose tar turned out to be another one than their image says: no image with them is mounted any more.
//!
//! `quarantine/<hex of the TOC digest>` below the store holds JSON. What is mounted stays mounted: every file of it was
//! verified against the TOC, for which the manifest vouches. Only that the TOC tells the same as the tar has turned out wrong,
//! so another tool that reads the layer's tar sees another tree. Removing the file lifts the quarantine.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chunked::{DiffId, TocDigest};
use serde::{Deserialize, Serialize};
use store::LayerRecord;

use crate::error::{Error, at_path};

const DIRECTORY: &str = "quarantine";

/// Why a layer is not mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// The layer.
    pub toc_digest: TocDigest,
    /// What its tar should have hashed to.
    pub diff_id: Option<DiffId>,
    /// What was found.
    pub why: String,
}

/// Writes down that a layer is not to be mounted.
///
/// # Errors
/// Those of the file system.
pub fn put(store: &Path, layer: &LayerRecord, why: &str) -> Result<(), Error> {
    let (toc_digest, diff_id) = (layer.toc_digest, layer.diff_id);
    let path = path_of(store, &toc_digest);
    let json = serde_json::to_vec_pretty(&Quarantined { toc_digest, diff_id, why: why.to_owned() });
    let failed = || at_path("write", &path);
    fs::create_dir_all(store.join(DIRECTORY)).map_err(failed())?;
    fs::write(&path, json.map_err(io::Error::from).map_err(failed())?).map_err(failed())
}

/// Fails when a layer is not to be mounted.
///
/// # Errors
/// [`Error::Quarantined`]; those of the file system.
pub fn check(store: &Path, layer: &LayerRecord) -> Result<(), Error> {
    let path = path_of(store, &layer.toc_digest);
    let json = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => read.map_err(at_path("read", &path))?,
    };
    let found: Result<Quarantined, _> = serde_json::from_slice(&json);
    let why = found.map_or_else(|_| "its mark cannot be read".to_owned(), |found| found.why);
    Err(Error::Quarantined { toc_digest: Box::new(layer.toc_digest), why: crate::error::shorten(&why), path })
}

fn path_of(store: &Path, toc_digest: &TocDigest) -> PathBuf {
    store.join(DIRECTORY).join(toc_digest.0.hex())
}
