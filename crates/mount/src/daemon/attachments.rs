//! The images that are served, as files in the store.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chunked::{BlobDigest, TocDigest};
use serde::{Deserialize, Serialize};

use crate::error::{Error, at_path};
use crate::fetch::Place;
use crate::file;

const DIRECTORY: &str = "lazy";

/// An image that is served: everything that a daemon has to know of it, besides what is in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The image's name, for people.
    pub name: String,
    /// The digest of its manifest.
    pub manifest: BlobDigest,
    /// The TOC digests of its layers, the lowest first. Each is in the store, at least indexed.
    pub layers: Vec<TocDigest>,
    /// Where its blobs are.
    pub place: Place,
    /// Whether all of it shall be here some day.
    pub fill: bool,
}

/// The attachments of a store.
#[derive(Debug)]
pub(super) struct Attachments(PathBuf);

impl Attachments {
    pub(super) fn of(store: &Path) -> Self {
        Self(store.join(DIRECTORY))
    }

    /// Lists those that can be read; what cannot is left to whoever made it.
    pub(super) fn list(&self) -> Result<Vec<Attachment>, Error> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(at_path("list", &self.0))?,
        };
        let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
        let is_ours = |path: &PathBuf| path.extension().is_none();
        let read = |path: PathBuf| serde_json::from_slice(&fs::read(path).ok()?).ok();
        Ok(paths.filter(is_ours).filter_map(read).collect())
    }

    pub(super) fn put(&self, attachment: &Attachment) -> Result<(), Error> {
        file::replace_json(&self.path_of(&attachment.manifest), attachment)
    }

    pub(super) fn remove(&self, manifest: &BlobDigest) -> Result<bool, Error> {
        let path = self.path_of(manifest);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(at_path("remove", path)(error)),
        }
    }

    fn path_of(&self, manifest: &BlobDigest) -> PathBuf {
        self.0.join(manifest.0.hex())
    }
}
