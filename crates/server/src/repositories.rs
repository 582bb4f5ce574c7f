//! Everything that is served: a directory of OCI image layouts.
//!
//! | path | is |
//! |---|---|
//! | `DIR/team/app/` | the repository `team/app`: an OCI image layout, readable as `oci:DIR/team/app:TAG` |
//! | `DIR/team/app/index.json` | its tags, and manifests without one that nothing else leads to |
//! | `DIR/team/app/blobs/` | its manifests and blobs; a blob of several repositories has a name in each, and its bytes once |
//! | `DIR/.morsel-*` | what a crash left where files cannot be made without a name |
//!
//! Layouts that other tools wrote below `DIR` are served as they are. A name has no component `blobs`, so no repository
//! lies within the files of another one.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use registry::directory::Directory;
use registry::layout::{self, BLOBS, INDEX, MARKER};
use registry::staged::Staged;
use rustix::fs::{AtFlags, FileType, FlockOperation, flock, statat};

use crate::error::{Error, at_path};
use crate::repository::{Cache, Repository};
use crate::route::RepositoryName;
use crate::verified::Verified;

/// Deepest repository, in components: a name has 255 bytes at most.
const DEPTH_MAX: usize = 128;

/// A directory of layouts.
#[derive(Debug)]
pub struct Repositories {
    root: Directory,
    caches: Mutex<HashMap<RepositoryName, Arc<Cache>>>,
    verified: Arc<Verified>,
}

/// What the one who opens a directory does there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Serves it, beside others who may do so.
    Serve,
    /// Only looks at it, beside others who serve it.
    Read,
    /// Removes what is not needed, when nobody serves it.
    Collect,
}

impl Repositories {
    /// Opens the directory, making it if it is missing, and keeps those away who have another purpose.
    ///
    /// # Errors
    /// [`Error::IsLayout`] when it is one itself, [`Error::InUse`], and those of the file system.
    pub fn open(path: &Path, purpose: Purpose) -> Result<Self, Error> {
        let root = match purpose {
            Purpose::Serve => Directory::create(path)?,
            Purpose::Read | Purpose::Collect => Directory::open(path)?,
        };
        if root.open_file(MARKER)?.is_some() {
            return Err(Error::IsLayout(path.to_owned()));
        }
        let lock = match purpose {
            Purpose::Serve | Purpose::Read => FlockOperation::NonBlockingLockShared,
            Purpose::Collect => FlockOperation::NonBlockingLockExclusive,
        };
        match flock(&root, lock) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(Error::InUse(path.to_owned())),
            Err(error) => return Err(at_path("lock", path)(error)),
        }
        Ok(Self { root, caches: Mutex::default(), verified: Arc::default() })
    }

    /// Returns the directory.
    pub(crate) fn root(&self) -> &Directory {
        &self.root
    }

    /// Opens a repository; `None` when there is none.
    pub(crate) fn find(&self, name: &RepositoryName) -> Result<Option<Repository>, Error> {
        let Some(directory) = self.root.find_subdirectory(name.as_str())? else { return Ok(None) };
        match directory.open_file(MARKER)? {
            Some(_) => Ok(Some(self.repository(name, directory))),
            None => Ok(None),
        }
    }

    /// Opens a repository, making it if there is none.
    pub(crate) fn create(&self, name: &RepositoryName) -> Result<Repository, Error> {
        if let Some(there) = self.find(name)? {
            return Ok(there);
        }
        let mut directory = self.root.clone();
        for component in name.as_str().split('/') {
            let below = directory.subdirectory(component)?;
            directory.sync()?;
            directory = below;
        }
        layout::found(&directory)?;
        directory.subdirectory(BLOBS)?.sync()?;
        directory.sync()?;
        Ok(self.repository(name, directory))
    }

    fn repository(&self, name: &RepositoryName, directory: Directory) -> Repository {
        let mut caches = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        let cache = Arc::clone(caches.entry(name.clone()).or_default());
        Repository::new(directory, cache, Arc::clone(&self.verified))
    }

    /// Starts a blob that belongs to no repository yet.
    pub(crate) fn stage(&self) -> Result<Staged, Error> {
        Ok(self.root.stage()?)
    }

    /// Lists the repositories, in order.
    pub(crate) fn names(&self) -> Result<Vec<RepositoryName>, Error> {
        let mut names = Vec::new();
        add_names(&self.root, "", DEPTH_MAX, &mut names)?;
        names.sort();
        Ok(names)
    }
}

/// Adds the repositories below a directory; what has no name that a repository can have is left alone.
fn add_names(
    directory: &Directory,
    prefix: &str,
    depth: usize,
    names: &mut Vec<RepositoryName>,
) -> Result<(), Error> {
    let Some(deeper) = depth.checked_sub(1) else { return Ok(()) };
    for entry in directory.names()? {
        let Ok(name) = format!("{prefix}{entry}").parse::<RepositoryName>() else { continue };
        // A link could lead round in a circle; what it leads to is served under that name, but not listed.
        let stat = statat(directory, &entry, AtFlags::SYMLINK_NOFOLLOW);
        if !stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory) {
            continue;
        }
        let Some(below) = directory.find_subdirectory(&entry)? else { continue };
        let prefix = format!("{name}/");
        if below.open_file(MARKER)?.is_some() && below.open_file(INDEX)?.is_some() {
            names.push(name);
        }
        add_names(&below, &prefix, deeper, names)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_repositories_wherever_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let repositories = Repositories::open(dir.path(), Purpose::Serve).unwrap();
        for name in ["b", "a/b", "a", "a/b/c-d"] {
            repositories.create(&name.parse().unwrap()).unwrap();
        }
        std::fs::create_dir_all(dir.path().join("x/Upper")).unwrap();
        std::fs::write(dir.path().join("y"), "").unwrap();
        let names = repositories.names().unwrap();
        assert_eq!(
            names.iter().map(RepositoryName::as_str).collect::<Vec<_>>(),
            ["a", "a/b", "a/b/c-d", "b"]
        );
        assert!(repositories.find(&"x".parse().unwrap()).unwrap().is_none());
        assert!(repositories.find(&"y/z".parse().unwrap()).unwrap().is_none());
    }

    #[test]
    fn a_layout_itself_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        layout::found(&Directory::open(dir.path()).unwrap()).unwrap();
        assert!(matches!(Repositories::open(dir.path(), Purpose::Serve), Err(Error::IsLayout(_))));
    }

    #[test]
    fn nobody_collects_what_is_served() {
        let dir = tempfile::tempdir().unwrap();
        let serving = Repositories::open(dir.path(), Purpose::Serve).unwrap();
        assert!(Repositories::open(dir.path(), Purpose::Serve).is_ok());
        assert!(matches!(Repositories::open(dir.path(), Purpose::Collect), Err(Error::InUse(_))));
        drop(serving);
        assert!(Repositories::open(dir.path(), Purpose::Collect).is_ok());
    }
}
