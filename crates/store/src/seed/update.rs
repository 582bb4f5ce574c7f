//! Brings the dedup index up to date with what a seed holds.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use chunked::{ContentDigest, FileRange};
use crossbeam_channel::{Receiver, Sender, bounded};
use serde::Serialize;

use super::hash::{Hashed, hash};
use super::{Seed, SeedName, Stamp};
use crate::error::{Error, at_path};
use crate::fetch::Count;
use crate::index::catalog::{Catalog, Listed, Writer};
use crate::index::{DedupIndex, ROWS_IN_MEMORY, SeedNumber, SeedPlace};
use crate::store::Store;

/// Nanoseconds for which a file may be changed without looking so: the coarsest clock of a file system, that of FAT.
const RACY: i64 = 2_000_000_000;

/// What bringing the index up to date took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Updated {
    /// The seed.
    pub seed: SeedName,
    /// Files that look as they did, and were not read.
    pub unchanged: Count,
    /// Files that are new or changed, and were hashed.
    pub hashed: Count,
    /// Chunks within these.
    pub chunks: u64,
    /// Files that are gone, or not what they were.
    pub gone: u64,
    /// Files that could not be read, or changed while they were.
    pub skipped: u64,
}

/// Puts the files of a seed into the dedup index: those that are not there, or do not look as they did, are hashed with
/// `jobs` threads. `progress` is told of bytes that were read.
///
/// # Errors
/// [`Error::Unnamable`] for a seed whose path is not UTF-8, those of the seed, and those of the file system of the store.
pub fn update(
    store: &Store,
    seed: &dyn Seed,
    jobs: NonZeroUsize,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Updated, Error> {
    let index = store.index();
    let name = seed.name().text();
    let name = name.ok_or_else(|| Error::Unnamable { path: seed.name().path().to_owned() })?;
    let _lock = index.lock_seeds()?;
    index.discard_damaged()?;
    let old = index.catalog(&name)?;
    let number = match &old {
        Some((number, _)) => *number,
        None => index.free_number()?,
    };
    let old = old.map(|(_, catalog)| catalog);
    let known = Known::of(old.as_deref());
    let numbers = old.as_ref().map_or(0, |old| old.numbers());
    let mut update = Update {
        index,
        number,
        writer: index.start_catalog(&name, now(), numbers)?,
        places: Vec::new(),
        updated: Updated {
            seed: seed.name().clone(),
            unchanged: Count::default(),
            hashed: Count::default(),
            chunks: 0,
            gone: known.count(),
            skipped: 0,
        },
    };
    update.run(seed, &known, jobs, progress)?;
    update.finish()
}

/// A file of the seed, as it was met.
enum Met {
    /// It looks as it did.
    Unchanged(u32, Stamp),
    /// It was hashed.
    Hashed(PathBuf, Stamp, Hashed),
    /// It could not be.
    Skipped,
}

struct Update<'a> {
    index: &'a DedupIndex,
    number: SeedNumber,
    writer: Writer,
    /// Rows that are not in the index yet.
    places: Vec<(ContentDigest, SeedPlace)>,
    updated: Updated,
}

impl Update<'_> {
    /// Walks the seed in one thread, hashes in others, and writes in this one.
    fn run(
        &mut self,
        seed: &dyn Seed,
        known: &Known<'_>,
        jobs: NonZeroUsize,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), Error> {
        thread::scope(|scope| {
            let (met, files) = bounded(jobs.get().saturating_mul(64));
            let (paths, to_hash) = bounded(jobs.get().saturating_mul(64));
            let walk = {
                let met = met.clone();
                scope.spawn(move || {
                    seed.walk(&mut |path, stamp| match known.find(path, stamp) {
                        Some(number) => flow(met.send(Met::Unchanged(number, stamp))),
                        None => flow(paths.send(path.to_owned())),
                    })
                })
            };
            for _ in 0..jobs.get() {
                let (met, to_hash) = (met.clone(), to_hash.clone());
                scope.spawn(move || hash_files(seed, &to_hash, &met, progress));
            }
            drop((met, to_hash));
            files.iter().try_for_each(|file| self.add(file, known))?;
            walk.join().unwrap_or(Err(Error::WorkerLost))
        })
    }

    fn add(&mut self, file: Met, known: &Known<'_>) -> Result<(), Error> {
        match file {
            Met::Skipped => self.updated.skipped = self.updated.skipped.saturating_add(1),
            Met::Unchanged(number, stamp) => {
                let Some(listed) = known.catalog.and_then(|old| old.file(number)) else { return Ok(()) };
                self.writer.keep(number, &listed).map_err(at_path("write", self.index.path()))?;
                self.updated.unchanged.add(stamp.len);
                self.updated.gone = self.updated.gone.saturating_sub(1);
            }
            Met::Hashed(path, stamp, hashed) => self.add_hashed(&path, stamp, hashed)?,
        }
        if self.places.len() >= ROWS_IN_MEMORY { self.flush() } else { Ok(()) }
    }

    fn add_hashed(&mut self, path: &Path, stamp: Stamp, hashed: Hashed) -> Result<(), Error> {
        let listed = Listed { digest: hashed.digest, stamp, path };
        let number = self.writer.add(&listed).map_err(at_path("write", self.index.path()))?;
        let Some(file) = number else { return Ok(()) };
        let place = |(digest, range)| (digest, SeedPlace { file, range });
        self.updated.hashed.add(stamp.len);
        self.updated.chunks = self.updated.chunks.saturating_add(hashed.chunks.len() as u64);
        self.places.push(place((hashed.digest, FileRange::saturating(0, stamp.len))));
        self.places.extend(hashed.chunks.into_iter().map(place));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.index.add_in(self.number, &self.places)?;
        self.places.clear();
        Ok(())
    }

    /// Rows come first: those that point to no file are harmless, and files without rows would not be hashed again.
    fn finish(mut self) -> Result<Updated, Error> {
        self.flush()?;
        if self.updated.hashed.count > 0 {
            self.index.compact()?;
        }
        self.index.put_catalog(self.number, self.writer)?;
        Ok(self.updated)
    }
}

fn flow<T>(sent: Result<(), T>) -> ControlFlow<()> {
    if sent.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

fn hash_files(
    seed: &dyn Seed,
    paths: &Receiver<PathBuf>,
    met: &Sender<Met>,
    progress: &(dyn Fn(u64) + Sync),
) {
    for path in paths {
        let hashed = hash_file(seed, &path);
        if let Some((stamp, _)) = &hashed {
            progress(stamp.len);
        }
        let file = hashed.map_or(Met::Skipped, |(stamp, hashed)| Met::Hashed(path, stamp, hashed));
        if met.send(file).is_err() {
            return;
        }
    }
}

/// Hashes a file, unless it changes meanwhile.
fn hash_file(seed: &dyn Seed, path: &Path) -> Option<(Stamp, Hashed)> {
    let found = seed.open(path)?;
    let file = found.open()?;
    let hashed = hash(&file, found.stamp().len)?;
    let after = Stamp::of(&rustix::fs::fstat(&file).ok()?);
    (after == found.stamp()).then_some((after, hashed))
}

/// The files of the catalog there is, by path. Paths are not kept, as they are in the catalog.
struct Known<'a> {
    catalog: Option<&'a Catalog>,
    numbers: HashMap<u64, u32>,
    hash: RandomState,
}

impl<'a> Known<'a> {
    fn of(catalog: Option<&'a Catalog>) -> Self {
        let hash = RandomState::new();
        let files = catalog.into_iter().flat_map(Catalog::files);
        let numbers = files.map(|(number, file)| (hash.hash_one(file.path), number)).collect();
        Self { catalog, numbers, hash }
    }

    fn count(&self) -> u64 {
        self.numbers.len() as u64
    }

    /// Finds the number of a file that looks as it did. One that was changed shortly before it was listed may have been
    /// changed again, and look the same.
    fn find(&self, path: &Path, stamp: Stamp) -> Option<u32> {
        let catalog = self.catalog?;
        let number = *self.numbers.get(&self.hash.hash_one(path))?;
        let file = catalog.file(number).filter(|file| file.path == path && file.stamp == stamp)?;
        (file.stamp.ctime < catalog.listed().saturating_sub(RACY)).then_some(number)
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
