//! Other stores of morsel: that of the machine for one of its users, or one on another disk.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use chunked::ContentDigest;

use super::{Abilities, Candidate, Regular, Root, Seed, SeedName, Visit};
use crate::directory::Directory;
use crate::error::{Error, at_path};
use crate::index::View;
use crate::objects::path_of;

/// How the names of such seeds begin.
pub(super) const KIND: &str = "morsel";

/// What a store is known by, and the directories that are used of it.
const FORMAT: &str = "format";
const OBJECTS: &str = "objects";
const INDEX: &str = "index";

/// A store of morsel. Its objects are found by their names, and chunks of them by its dedup index as it was when the seed was
/// opened. No lock is taken: what its owner removes meanwhile is a miss.
#[derive(Debug)]
pub struct OwnStore {
    name: SeedName,
    root: Root,
    index: View,
}

impl OwnStore {
    /// Opens the store at `path`. An index that cannot be read knows nothing.
    ///
    /// # Errors
    /// [`Error::NotASeed`] for a directory that is none, and those of the file system.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let path = path.canonicalize().map_err(at_path("open", path))?;
        let root = Root::open(&path)?;
        if root.find(Path::new(FORMAT)).is_none() || root.subdirectory(Path::new(OBJECTS)).is_none() {
            return Err(Error::NotASeed { path, expected: "a store of morsel, with `format` and `objects`" });
        }
        let index = Directory::open(&path.join(INDEX)).and_then(|directory| View::load(&directory));
        Ok(Self { name: SeedName::new(KIND, path), root, index: index.unwrap_or_default() })
    }

    /// Opens an object that is at least so long.
    fn object(&self, digest: &ContentDigest, len: u64) -> Option<(File, u64)> {
        let found = self.root.find(&Path::new(OBJECTS).join(path_of(digest)))?;
        let found_len = found.stamp().len;
        (found_len >= len).then_some((found.open()?, found_len))
    }
}

impl Seed for OwnStore {
    fn name(&self) -> &SeedName {
        &self.name
    }

    fn abilities(&self) -> Abilities {
        Abilities { digests: true, paths: false, chunks: true }
    }

    fn file(&self, digest: &ContentDigest, len: u64) -> Option<Candidate> {
        self.object(digest, len).filter(|(_, found)| *found == len).map(|(file, _)| Candidate::File(file))
    }

    fn at(&self, _path: &str) -> Vec<Regular> {
        Vec::new()
    }

    fn chunk(&self, digest: &ContentDigest, len: u64) -> Option<Candidate> {
        let place = self.index.lookup(digest).filter(|place| place.range.len() == len)?;
        let (file, _) = self.object(&place.object, place.range.end())?;
        Some(Candidate::Part(Arc::new(file), place.range.start()))
    }

    fn walk(&self, _visit: Visit<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn open(&self, _path: &Path) -> Option<Regular> {
        None
    }
}

/// Tells whether there is a store.
pub(super) fn is_at(path: &Path) -> bool {
    path.join(FORMAT).is_file() && path.join(OBJECTS).is_dir() && path.join(INDEX).is_dir()
}
