//! Carrying a plan out.

use std::io;

use registry::layout::{self, BLOBS, INDEX, MARKER};

use super::{Plan, RepositoryPlan, Summary};
use crate::error::Error;
use crate::repositories::Repositories;
use crate::repository::Repository;

impl Plan {
    /// Removes what is to be removed.
    ///
    /// # Errors
    /// Those of the file system; what was removed by then stays removed, and the rest is for the next time.
    pub fn run(&self, repositories: &Repositories) -> Result<Summary, Error> {
        for plan in &self.repositories {
            if let Some(repository) = repositories.find(&plan.name)? {
                plan.run(&repository)?;
            }
            if plan.is_empty {
                remove_empty(repositories, plan)?;
            }
        }
        for name in &self.leftovers {
            repositories.root().remove(name)?;
        }
        Ok(self.summary)
    }
}

impl RepositoryPlan {
    /// Changes the list before it removes what was listed: a crash in between leaves garbage, not gaps.
    fn run(&self, repository: &Repository) -> Result<(), Error> {
        let directory = repository.directory();
        if let Some(index) = &self.index {
            directory.replace(INDEX, &layout::encode_index(index, directory.path())?)?;
            directory.sync()?;
        }
        for file in &self.garbage {
            repository.remove(&file.digest)?;
        }
        for name in &self.leftovers {
            directory.remove(name)?;
        }
        Ok(())
    }
}

/// Removes a layout with nothing in it. What else is in its directory stays, and keeps the directory.
fn remove_empty(repositories: &Repositories, plan: &RepositoryPlan) -> Result<(), Error> {
    let name = plan.name.as_str();
    let Some(directory) = repositories.root().find_subdirectory(name)? else { return Ok(()) };
    directory.remove(MARKER)?;
    directory.remove(INDEX)?;
    if let Some(blobs) = directory.find_subdirectory(BLOBS)? {
        for algorithm in blobs.names()? {
            unless_in_use(blobs.remove_directory(&algorithm))?;
        }
    }
    unless_in_use(directory.remove_directory(BLOBS))?;
    unless_in_use(repositories.root().remove_directory(name))
}

/// Lets a directory be that something is in.
fn unless_in_use(removed: Result<bool, registry::Error>) -> Result<(), Error> {
    match removed {
        Ok(_) => Ok(()),
        Err(registry::Error::Io { source, .. })
            if matches!(source.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotADirectory) =>
        {
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
