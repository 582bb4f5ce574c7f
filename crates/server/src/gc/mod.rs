//! Removing what nothing needs: decided first, while nobody serves the directory, and then done.

mod mark;
mod sweep;

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;

use chunked::BlobDigest;
use registry::Index;
use registry::staged::UNFINISHED;
use serde::Serialize;

use crate::error::{Error, at_path};
use crate::repositories::Repositories;
use crate::repository::{Contents, Repository};
use crate::route::RepositoryName;

/// What becomes of manifests that no tag leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Untagged {
    /// They stay: somebody may pull them by digest.
    #[default]
    Keep,
    /// They go, unless they refer to one that stays.
    Remove,
}

/// What is to be removed.
#[derive(Debug)]
pub struct Plan {
    repositories: Vec<RepositoryPlan>,
    /// Files in the directory itself that a crash left.
    leftovers: Vec<String>,
    summary: Summary,
}

/// What is removed, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Summary {
    /// Repositories with nothing left in them.
    pub repositories: u64,
    /// Manifests and indexes.
    pub manifests: u64,
    /// Configurations, layers, and what else nothing needs.
    pub blobs: u64,
    /// Bytes that are free afterwards. A blob that another repository has as well frees none.
    pub bytes: u64,
    /// Files that crashes left.
    pub leftovers: u64,
}

/// What is to be removed from one repository.
#[derive(Debug)]
struct RepositoryPlan {
    name: RepositoryName,
    /// Its list afterwards, if that changes.
    index: Option<Index>,
    /// Whether nothing is left.
    is_empty: bool,
    garbage: Vec<Garbage>,
    leftovers: Vec<String>,
}

/// A file that nothing needs.
#[derive(Debug)]
struct Garbage {
    digest: BlobDigest,
    is_manifest: bool,
    len: u64,
    inode: (u64, u64),
    names: u64,
}

/// Finds out what nothing needs.
///
/// An index keeps what it lists, as far as that is here; a manifest keeps its blobs, and the manifests that refer to it.
///
/// # Errors
/// [`Error::Damaged`] when it cannot be known what a manifest needs, and those of the file system.
pub fn plan(repositories: &Repositories, untagged: Untagged) -> Result<Plan, Error> {
    let mut plans = Vec::new();
    for name in repositories.names()? {
        if let Some(repository) = repositories.find(&name)? {
            plans.push(plan_repository(name, &repository, untagged)?);
        }
    }
    let leftovers = unfinished(repositories.root().names()?);
    let summary = summary(&plans, leftovers.len());
    Ok(Plan { repositories: plans, leftovers, summary })
}

impl Plan {
    /// Says how much is to be removed.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }
}

fn plan_repository(
    name: RepositoryName,
    repository: &Repository,
    untagged: Untagged,
) -> Result<RepositoryPlan, Error> {
    let contents = repository.contents()?;
    let kept = mark::kept(repository, &contents, untagged)?;
    let mut index = contents.index.clone();
    index.manifests.retain(|manifest| kept.contains(&manifest.digest));
    let needless = repository.stored()?.into_iter().filter(|digest| !kept.contains(digest));
    let garbage = needless.filter_map(|digest| garbage(repository, &contents, digest).transpose());
    Ok(RepositoryPlan {
        name,
        is_empty: index.manifests.is_empty(),
        garbage: garbage.collect::<Result<_, _>>()?,
        leftovers: unfinished(repository.directory().names()?),
        index: (index != contents.index).then_some(index),
    })
}

/// Examines a file that nothing needs; `None` when it is not there any more.
fn garbage(
    repository: &Repository,
    contents: &Contents,
    digest: BlobDigest,
) -> Result<Option<Garbage>, Error> {
    let Some((file, path)) = repository.open(&digest)? else { return Ok(None) };
    let metadata = file.metadata().map_err(at_path("examine", &path))?;
    Ok(Some(Garbage {
        digest,
        is_manifest: contents.node(&digest).is_some(),
        len: metadata.len(),
        inode: (metadata.dev(), metadata.ino()),
        names: metadata.nlink(),
    }))
}

fn unfinished(names: Vec<String>) -> Vec<String> {
    names.into_iter().filter(|name| name.starts_with(UNFINISHED)).collect()
}

fn summary(plans: &[RepositoryPlan], leftovers: usize) -> Summary {
    let mut summary = Summary { leftovers: leftovers as u64, ..Summary::default() };
    // How many of a file's names go; its bytes do when all of them do.
    let mut going: HashMap<_, u64> = HashMap::new();
    for plan in plans {
        summary.repositories += u64::from(plan.is_empty);
        summary.leftovers += plan.leftovers.len() as u64;
        for file in &plan.garbage {
            match file.is_manifest {
                true => summary.manifests += 1,
                false => summary.blobs += 1,
            }
            let names = going.entry(file.inode).or_default();
            *names += 1;
            if *names == file.names {
                summary.bytes = summary.bytes.saturating_add(file.len);
            }
        }
    }
    summary
}

impl Summary {
    /// Tells whether there is nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
