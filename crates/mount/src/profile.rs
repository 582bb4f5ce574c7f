//! What an image's program reads when it starts, in order: so that the next mount has it fetched before it is asked for.
//!
//! `profiles/<hex of the manifest's digest>` below the store holds JSON. Contents are named by digest, so a profile is of use
//! for other images that share layers, too.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chunked::{BlobDigest, ContentDigest};
use serde::{Deserialize, Serialize};

use crate::error::{Error, at_path};

const DIRECTORY: &str = "profiles";

/// What was read of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// The digest of the image's manifest.
    pub manifest: BlobDigest,
    /// The chunks that were read, each once, in the order of their first read.
    pub reads: Vec<ChunkRead>,
}

/// A chunk that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ChunkRead {
    /// The content.
    pub content: ContentDigest,
    /// The place of the chunk in it.
    pub chunk: u32,
}

impl Profile {
    /// Reads the profile of an image; `None` when there is none. One that cannot be understood is none.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn load(store: &Path, manifest: &BlobDigest) -> Result<Option<Self>, Error> {
        let path = path_of(store, manifest);
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => Ok(serde_json::from_slice(&read.map_err(at_path("read", &path))?).ok()),
        }
    }

    /// Writes the profile, in place of an earlier one.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn save(&self, store: &Path) -> Result<PathBuf, Error> {
        let path = path_of(store, &self.manifest);
        let failed = || at_path("write", &path);
        fs::create_dir_all(store.join(DIRECTORY)).map_err(failed())?;
        let json = serde_json::to_vec(self).map_err(io::Error::from).map_err(failed())?;
        let staged = path.with_extension("new");
        fs::write(&staged, json).and_then(|()| fs::rename(&staged, &path)).map_err(failed())?;
        Ok(path)
    }
}

fn path_of(store: &Path, manifest: &BlobDigest) -> PathBuf {
    store.join(DIRECTORY).join(manifest.0.hex())
}
