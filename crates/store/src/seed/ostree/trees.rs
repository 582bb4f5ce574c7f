//! Finding files in the directories of a commit.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::object::{Checksum, DirTree};
use crate::seed::Root;

/// Longest directory that is read: one of 200 000 files takes half of that.
const LEN_MAX: u64 = 16 << 20;
/// Bytes of directories that are kept. Contents come by directory, so few are needed at a time.
const MEMORY_MAX: usize = 32 << 20;

/// Directories that were read.
#[derive(Debug, Default)]
pub(super) struct Trees {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    trees: HashMap<Checksum, Option<Arc<DirTree>>>,
    memory: usize,
}

impl Trees {
    /// Finds the file at a path, which has nothing but names, below a directory.
    pub(super) fn find(&self, repo: &Root, directory: &Checksum, path: &Path) -> Option<Checksum> {
        let mut directory = *directory;
        for name in path.parent()?.iter() {
            directory = self.get(repo, &directory)?.directory(name.as_bytes())?;
        }
        self.get(repo, &directory)?.file(path.file_name()?.as_bytes())
    }

    fn get(&self, repo: &Root, directory: &Checksum) -> Option<Arc<DirTree>> {
        if let Some(tree) = self.lock().trees.get(directory) {
            return tree.clone();
        }
        let bytes = repo.read(Path::new(&directory.path("dirtree")), LEN_MAX);
        let tree = bytes.and_then(DirTree::parse).map(Arc::new);
        self.lock().keep(directory, tree.clone());
        tree
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn keep(&mut self, directory: &Checksum, tree: Option<Arc<DirTree>>) {
        let memory = size_of::<Checksum>() + tree.as_ref().map_or(0, |tree| tree.memory());
        if self.memory.saturating_add(memory) > MEMORY_MAX {
            *self = Self::default();
        }
        self.memory = self.memory.saturating_add(memory);
        self.trees.insert(*directory, tree);
    }
}
