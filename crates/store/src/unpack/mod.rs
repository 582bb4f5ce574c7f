//! Puts a merged tree on disk as plain files.
//!
//! Everything is made in a directory of its own beside the one that was asked for, which takes its name at the end. Until
//! then nobody else can enter it, so names are made and opened without a race; still, directories are only opened beneath
//! it, and no link is ever followed.
//!
//! 1. *Fill*: several threads, each directory by one of them, make what the directory holds. Files come from the store by
//!    reflink where that pays and works, otherwise as copies that keep holes.
//! 2. *Link*: names that lead to files which are there by now.
//! 3. *Finish*: directories get their owner, mode and times, the deepest first, for nothing is made in them any more.

mod clone;
mod crew;
mod fill;
mod finish;
mod metadata;
mod owner;
mod refused;
mod report;
mod staging;
mod tally;

use std::fs::File;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread;

use chunked::ContentDigest;

pub use owner::{IdMap, InvalidIdMap, Owners};
pub use refused::Refused;
pub use report::{Amount, Reason, Report, Skipped};

use crate::error::Error;
use crate::objects::Objects;
use crate::tree::{NameId, NodeId, Tree, Xattr};
use fill::Filler;
use staging::Staging;
use tally::Tally;

/// Threads beyond which a file system gains nothing: two are best, four no better (measured on ext4, XFS and btrfs).
const MOST_JOBS: usize = 4;

/// Where the bytes of files come from. They are taken as they are, and have been verified before.
pub trait Contents: Sync {
    /// Opens the content of that digest for reading; `None` when it is not there.
    ///
    /// # Errors
    /// When it is there and cannot be opened.
    fn open(&self, digest: &ContentDigest) -> Result<Option<File>, Error>;

    /// Returns attributes that a file gets in the place of its bytes: it is as long as it should be, and all hole. `None`,
    /// which is the default, when it gets its bytes.
    fn reference(&self, _digest: &ContentDigest) -> Option<Vec<Xattr>> {
        None
    }
}

impl Contents for Objects {
    fn open(&self, digest: &ContentDigest) -> Result<Option<File>, Error> {
        self.open(digest)
    }
}

/// How to unpack.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whose the files are.
    pub owners: Owners,
    /// Threads that make files.
    pub jobs: NonZeroUsize,
    /// Whether everything is safe from a power loss before the directory gets its name.
    pub sync: bool,
}

impl Default for Options {
    /// Owners as the image has them for root, otherwise squashed; a thread for each processor, up to four; not synced.
    fn default() -> Self {
        let jobs = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let most = NonZeroUsize::new(MOST_JOBS).unwrap_or(NonZeroUsize::MIN);
        let owners = if rustix::process::geteuid().is_root() { Owners::AsIs } else { Owners::Squash };
        Self { owners, jobs: jobs.min(most), sync: false }
    }
}

/// Makes `dir`, which must be missing or empty, the root of `tree`.
///
/// # Errors
/// [`Error::Refused`] when it cannot be done as asked, [`Error::File`] when the file system fails. Nothing is left then.
pub fn unpack(tree: &Tree, contents: &dyn Contents, dir: &Path, options: &Options) -> Result<Report, Error> {
    options.owners.check(tree)?;
    let mut staging = Staging::start(dir)?;
    let site = Site { tree, contents, staging: &staging, dir, owners: &options.owners };
    let tally = site.build(options);
    match tally.and_then(|tally| staging.publish(options.sync).map(|()| tally)) {
        Ok(tally) => Ok(tally.report(tree)),
        Err(error) => {
            staging.open_up(tree);
            Err(error)
        }
    }
}

/// A tree being made, as all who work on it see it.
struct Site<'a> {
    tree: &'a Tree,
    contents: &'a dyn Contents,
    staging: &'a Staging,
    /// The name that the tree will have, for messages.
    dir: &'a Path,
    owners: &'a Owners,
}

impl Site<'_> {
    fn build(&self, options: &Options) -> Result<Tally, Error> {
        let mut tally = crew::run(options.jobs, Tree::ROOT, || Filler::new(self))?;
        finish::link(self)?;
        finish::directories(self, &mut tally)?;
        Ok(tally)
    }

    /// Opens a directory of the tree.
    fn open(&self, id: NodeId) -> Result<OwnedFd, Error> {
        let opened = self.staging.open(&self.tree.path(id));
        opened.map_err(|source| Error::File { action: "open", path: self.path(id), source })
    }

    /// Returns where a node will be.
    fn path(&self, id: NodeId) -> PathBuf {
        self.dir.join(self.tree.path(id).join("/"))
    }

    /// Returns where a name will be.
    fn path_of(&self, id: NameId) -> PathBuf {
        self.dir.join(self.tree.path_of(id).join("/"))
    }
}

#[cfg(test)]
mod tests;
