//! Reading everything that is served, to see whether it is what it says it is.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;

use chunked::BlobDigest;
use serde::Serialize;

use crate::error::{Error, at_path};
use crate::repositories::Repositories;
use crate::repository::Repository;
use crate::route::RepositoryName;
use crate::verified;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// Repositories that were looked at.
    pub repositories: u64,
    /// Blobs that were read, manifests among them.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is not what its name says, in order. It is not served, and can be pushed again.
    pub damaged: Vec<Damaged>,
}

/// A blob that is not what its name says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Damaged {
    /// Where it is.
    pub repository: String,
    /// What it should be.
    pub digest: BlobDigest,
}

/// Reads and hashes everything, on `jobs` threads. The directory may be served meanwhile.
///
/// # Errors
/// Those of the file system.
pub fn scrub(repositories: &Repositories, jobs: NonZeroUsize) -> Result<Report, Error> {
    let names = repositories.names()?;
    let mut files = Vec::new();
    for name in &names {
        let Some(repository) = repositories.find(name)? else { continue };
        let digests = repository.stored()?;
        files.extend(digests.into_iter().map(|digest| (name.clone(), repository.clone(), digest)));
    }
    let start = Report { repositories: names.len() as u64, ..Report::default() };
    let (queue, report) = (Mutex::new(files), Mutex::new(start));
    thread::scope(|scope| {
        let work = || -> Result<(), Error> {
            while let Some((name, repository, digest)) = take(&queue) {
                let checked = check(&name, &repository, digest)?;
                report.lock().unwrap_or_else(PoisonError::into_inner).add(checked);
            }
            Ok(())
        };
        let threads: Vec<_> = (0..jobs.get()).map(|_| scope.spawn(work)).collect();
        // A thread that panicked has said so; there is nothing to add.
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or(Ok(())))
    })?;
    let mut report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
    report.damaged.sort();
    Ok(report)
}

type File = (RepositoryName, Repository, BlobDigest);

fn take(queue: &Mutex<Vec<File>>) -> Option<File> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

enum Checked {
    Fine(u64),
    Damaged(Damaged),
    Gone,
}

fn check(name: &RepositoryName, repository: &Repository, digest: BlobDigest) -> Result<Checked, Error> {
    let Some((file, path)) = repository.open(&digest)? else { return Ok(Checked::Gone) };
    let len = file.metadata().map_err(at_path("examine", &path))?.len();
    Ok(match verified::holds(&file, len, &digest).map_err(at_path("read", &path))? {
        true => Checked::Fine(len),
        false => Checked::Damaged(Damaged { repository: name.to_string(), digest }),
    })
}

impl Report {
    fn add(&mut self, checked: Checked) {
        match checked {
            Checked::Gone => {}
            Checked::Fine(len) => {
                self.blobs += 1;
                self.bytes = self.bytes.saturating_add(len);
            }
            Checked::Damaged(damaged) => {
                self.blobs += 1;
                self.damaged.push(damaged);
            }
        }
    }
}
