//! The dedup index: where the bytes of a content are, in objects and in the files of seeds.
//!
//! Everything in it is a hint: what it leads to is hashed before it is used, and what it does not know is fetched. It can
//! be made anew of the TOCs and of the seeds at any time.
//!
//! All rows of all layers and seeds are in a few sorted files, the runs. A row of a seed has the number of a file,
//! which the seed's catalog translates.

mod bucket;
pub(crate) mod catalog;
mod catalogs;
mod merge;
mod rebuild;
mod row;
mod run;
mod shape;
mod sys;
mod view;
mod writer;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use chunked::{ContentDigest, FileRange};
use serde::Serialize;

use self::catalog::Catalog;
pub use self::rebuild::chunks;
pub(crate) use self::rebuild::rebuild;
pub use self::row::SeedNumber;
use self::row::{Order, Owner, Row};
use self::run::Run;
pub use self::view::View;
use self::writer::Writer;
use crate::directory::Directory;
use crate::durability::Durability;
use crate::error::{Error, at_path};
use crate::lock;
use crate::objects;
use crate::staged::Staged;

/// Start of the name of a run; its number in 16 hexadecimal digits follows.
const RUN: &str = "run-";
/// Name of the lock of those who add rows.
const LOCK: &str = "index";
/// Rows sorted in memory at once: some 8 MiB.
pub(crate) const ROWS_IN_MEMORY: usize = 1 << 17;

/// Where the bytes of a chunk may be in an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The object that may have them.
    pub object: ContentDigest,
    /// Which of its bytes.
    pub range: FileRange,
}

/// Where the bytes of a content may be in a file of a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SeedPlace {
    /// The file, by its number in the seed's catalog.
    pub(crate) file: u32,
    /// Which of its bytes.
    pub(crate) range: FileRange,
}

/// The dedup index of a store: `index/`.
#[derive(Debug)]
pub struct DedupIndex {
    directory: Directory,
    locks: Directory,
    temporary: Directory,
    durability: Arc<Durability>,
    runs: RwLock<Arc<Runs>>,
}

/// The runs as they were found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Runs {
    /// By ascending number; later ones know better.
    usable: Vec<(u64, Arc<Run>)>,
    /// Names of runs that are damaged, or not ours.
    unusable: Vec<String>,
}

/// What a dedup index consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Shape {
    /// Files.
    pub runs: u64,
    /// Rows in them; one chunk may have several.
    pub rows: u64,
    /// Files that are damaged, and not used.
    pub unusable: u64,
}

impl DedupIndex {
    pub(crate) fn open(
        directory: Directory,
        locks: Directory,
        temporary: Directory,
        durability: Arc<Durability>,
    ) -> Result<Self, Error> {
        let runs = RwLock::new(Arc::new(Runs::load(&directory)?));
        Ok(Self { directory, locks, temporary, durability, runs })
    }

    /// Finds out which object may have the bytes of a chunk. They have to be hashed before they are used.
    pub fn lookup(&self, chunk: &ContentDigest) -> Option<Place> {
        self.view().lookup(chunk)
    }

    /// Returns what it knows now, for many lookups.
    pub fn view(&self) -> View {
        View(self.runs())
    }

    fn runs(&self) -> Arc<Runs> {
        self.runs.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes note of what other processes added since it was opened.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn reload(&self) -> Result<(), Error> {
        let runs = Arc::new(Runs::load(&self.directory)?);
        *self.runs.write().unwrap_or_else(PoisonError::into_inner) = runs;
        Ok(())
    }

    /// Adds chunks of objects. What is known of a chunk is replaced.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn add(&self, rows: impl IntoIterator<Item = (ContentDigest, Place)>) -> Result<(), Error> {
        let known = self.view();
        let mut rows =
            rows.into_iter().filter(|(chunk, place)| known.lookup(chunk) != Some(*place)).peekable();
        if rows.peek().is_none() {
            return Ok(());
        }
        self.change(|runs| {
            let mut objects = Objects::default();
            let rows = rows.filter_map(|(chunk, place)| {
                Some((Row::new(&chunk, Owner::Objects, 0, place.range)?, place.object))
            });
            let (mut rows, mut pieces) = (rows.peekable(), 0);
            while rows.peek().is_some() {
                pieces += 1;
                let piece = rows.by_ref().take(ROWS_IN_MEMORY);
                let piece = piece.map(|(row, object)| Row { file: objects.number(object), ..row }).collect();
                self.add_piece(runs, piece, &std::mem::take(&mut objects).digests)?;
            }
            if pieces > 1 { self.merge_all(runs) } else { self.merge(runs) }
        })
    }

    /// Adds contents of files of a seed. What is known of a content in that seed is replaced.
    pub(crate) fn add_in(
        &self,
        seed: SeedNumber,
        places: &[(ContentDigest, SeedPlace)],
    ) -> Result<(), Error> {
        let row =
            |(content, place): &(_, SeedPlace)| Row::new(content, Owner::Seed(seed), place.file, place.range);
        let rows: Vec<_> = places.iter().filter_map(row).collect();
        match rows.is_empty() {
            true => Ok(()),
            false => self.change(|runs| {
                self.add_piece(runs, rows, &[])?;
                self.merge(runs)
            }),
        }
    }

    /// Returns the path of its directory, for messages.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Makes lookups quickest, after much was added.
    pub(crate) fn compact(&self) -> Result<(), Error> {
        self.change(|runs| self.merge_all(runs))
    }

    /// Counts what there is.
    pub fn shape(&self) -> Shape {
        let runs = self.runs();
        Shape {
            runs: runs.usable.len() as u64,
            rows: runs.usable.iter().map(|(_, run)| u64::from(run.rows_count())).sum(),
            unusable: runs.unusable.len() as u64,
        }
    }

    /// Tells whether every file of it is sound.
    pub(crate) fn is_sound(&self) -> bool {
        let runs = self.runs();
        runs.unusable.is_empty() && runs.usable.iter().all(|(_, run)| run.is_sound())
    }

    /// Removes runs that are damaged, and forgets which files of seeds are in the index, as the rows of some are lost.
    pub(crate) fn discard_damaged(&self) -> Result<(), Error> {
        match self.shape().unusable {
            0 => Ok(()),
            _ => self.change(|_| Ok(())),
        }
    }

    /// Lets `change` work on the runs as they are on disk, and uses what it leaves. Damaged runs go first, and with them
    /// the belief that the files of the seeds are in the index.
    fn change(&self, change: impl FnOnce(&mut Runs) -> Result<(), Error>) -> Result<(), Error> {
        let _lock = lock::exclusive(&self.locks, LOCK)?;
        let _writing = self.durability.writing()?;
        let mut runs = Runs::load(&self.directory)?;
        if !runs.unusable.is_empty() {
            self.forget_files()?;
        }
        let changed = change(&mut runs);
        if changed.is_ok() {
            for name in runs.unusable.drain(..) {
                self.directory.remove(&name)?;
            }
        }
        *self.runs.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(runs);
        changed
    }

    /// Writes rows as a run.
    fn add_piece(&self, runs: &mut Runs, mut rows: Vec<Row>, objects: &[u8]) -> Result<(), Error> {
        rows.sort_unstable();
        let (number, count) = (runs.next_number(), u32::try_from(rows.len()).unwrap_or(u32::MAX));
        let run = self.write(number, count, rows.into_iter(), &[objects])?;
        runs.usable.push((number, run));
        Ok(())
    }

    fn write(
        &self,
        number: u64,
        count: u32,
        rows: impl Iterator<Item = Row>,
        objects: &[&[u8]],
    ) -> Result<Arc<Run>, Error> {
        let name = run_name(number);
        let failed = || at_path("write", self.directory.path_of(&name));
        let write = || -> io::Result<bool> {
            let staged = Staged::new(&self.directory, &self.temporary, objects::MODE)?;
            let mut writer = Writer::new(staged, count)?;
            for row in rows {
                writer.push(&row)?;
            }
            writer.finish(objects)?.publish_new(&self.directory, &name)
        };
        write().map_err(failed())?;
        let gone = || failed()(io::ErrorKind::InvalidData.into());
        let file = self.directory.open_file(&name)?.ok_or_else(gone)?;
        Run::open(&file).map(Arc::new).map_err(|_| gone())
    }
}

impl Runs {
    /// Maps all runs in a directory.
    pub(crate) fn load(directory: &Directory) -> Result<Self, Error> {
        let mut runs = Self::default();
        for name in directory.names()? {
            let Some(number) = run_number(&name) else { continue };
            // Another process may have merged it meanwhile.
            let Some(file) = directory.open_file(&name)? else { continue };
            match Run::open(&file) {
                Ok(run) => runs.usable.push((number, Arc::new(run))),
                Err(_) => runs.unusable.push(name),
            }
        }
        runs.usable.sort_by_key(|(number, _)| *number);
        Ok(runs)
    }

    /// Finds the row that was added last of a content and an owner: its run, and its number there.
    #[inline]
    fn find(&self, wanted: Order) -> Option<(&Run, u32)> {
        self.usable.iter().rev().find_map(|(_, run)| Some((&**run, run.find(wanted)?)))
    }

    fn runs(&self) -> impl Iterator<Item = &Arc<Run>> {
        self.usable.iter().map(|(_, run)| run)
    }

    fn next_number(&self) -> u64 {
        let unusable = self.unusable.iter().filter_map(|name| run_number(name));
        let last = self.usable.iter().map(|(number, _)| *number).chain(unusable).max();
        last.map_or(0, |last| last.saturating_add(1))
    }
}

/// Reads a run as lookups do, whatever is in it: counts its rows, and finds what an object or the first seed has of a
/// content. `None` for a file that is not used.
pub fn read_run(file: &File, content: &ContentDigest) -> Option<(usize, Vec<FileRange>)> {
    let run = Run::open(file).ok()?;
    let find = |owner| Some(run.row(run.find(Order::of(content, owner))?)?.range);
    let found = [Owner::Objects, Owner::Seed(SeedNumber::FIRST)].into_iter().filter_map(find).collect();
    Some((run.rows().count(), found))
}

/// Reads a catalog as pulls and updates do, whatever is in it: lists the paths of its files. `None` for a file that is not
/// used.
pub fn read_catalog(file: &File) -> Option<Vec<PathBuf>> {
    let catalog = Catalog::open(file)?;
    Some(catalog.files().map(|(_, listed)| listed.path.to_owned()).collect())
}

/// Numbers the objects that the rows of a run point to.
#[derive(Debug, Default)]
struct Objects {
    numbers: HashMap<ContentDigest, u32>,
    /// Their digests, one after another.
    digests: Vec<u8>,
}

impl Objects {
    fn number(&mut self, object: ContentDigest) -> u32 {
        let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        *self.numbers.entry(object).or_insert_with(|| {
            self.digests.extend(object.0);
            next
        })
    }
}

fn run_name(number: u64) -> String {
    format!("{RUN}{number:016x}")
}

fn run_number(name: &str) -> Option<u64> {
    u64::from_str_radix(name.strip_prefix(RUN)?, 16).ok()
}
