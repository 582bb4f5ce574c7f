//! What an image's program reads when it starts, in order: so that the next mount has it fetched before it is asked for.
//!
//! `profiles/<hex of the manifest's digest>` below the store holds JSON. Contents are named by digest, so a profile is of use
//! for other images that share layers, too.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use chunked::{BlobDigest, ContentDigest};
use serde::{Deserialize, Serialize};

use crate::error::{Error, at_path};
use crate::file;

const DIRECTORY: &str = "profiles";
/// Most reads of a profile that are made use of: several gigabytes of chunks.
const READS_MAX: usize = 1 << 17;

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
    /// Reads a profile; `None` when it cannot be understood.
    pub fn parse(json: &[u8]) -> Option<Self> {
        let mut profile: Self = serde_json::from_slice(json).ok()?;
        profile.reads.truncate(READS_MAX);
        Some(profile)
    }

    /// Returns what is read here, and then what is read there and not here.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        let known: HashSet<_> = self.reads.iter().copied().collect();
        self.reads.extend(other.reads.iter().filter(|read| !known.contains(read)));
        self.reads.truncate(READS_MAX);
        self
    }

    /// Reads the profile of an image; `None` when there is none. One that cannot be understood is none.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn load(store: &Path, manifest: &BlobDigest) -> Result<Option<Self>, Error> {
        let path = path_of(store, manifest);
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => Ok(Self::parse(&read.map_err(at_path("read", &path))?)),
        }
    }

    /// Writes the profile, in place of an earlier one.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn save(&self, store: &Path) -> Result<PathBuf, Error> {
        let path = path_of(store, &self.manifest);
        file::replace(&path, |mut file| file.write_all(&serde_json::to_vec(self)?))?;
        Ok(path)
    }
}

fn path_of(store: &Path, manifest: &BlobDigest) -> PathBuf {
    store.join(DIRECTORY).join(manifest.0.hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_come_back_and_go_together() {
        let dir = tempfile::tempdir().unwrap();
        let read = |chunk| ChunkRead { content: ContentDigest::of(b"content"), chunk };
        let profile = |chunks: &[u32]| Profile {
            manifest: BlobDigest::of(b"manifest"),
            reads: chunks.iter().copied().map(read).collect(),
        };
        let one = profile(&[3, 1]);
        one.save(dir.path()).unwrap();
        assert_eq!(Profile::load(dir.path(), &one.manifest).unwrap(), Some(one.clone()));
        assert_eq!(Profile::load(dir.path(), &BlobDigest::of(b"other")).unwrap(), None);
        assert_eq!(one.and(&profile(&[1, 2, 3])), profile(&[3, 1, 2]));
        assert_eq!(Profile::parse(b"{\"manifest\": 1}"), None);
    }
}
