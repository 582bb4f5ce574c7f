//! The dedup index: which object holds the bytes of a chunk.
//!
//! Everything in it is a hint: what it leads to is hashed before it is used, and a chunk that it does not know is
//! fetched. It can be made anew of the TOCs at any time.

mod row;
mod run;
mod sys;

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use chunked::toc::Toc;
use chunked::{ChunkKind, ContentDigest, FileRange, TocDigest};
use serde::Serialize;

use self::row::Row;
use self::run::{Run, Writer};
use crate::directory::Directory;
use crate::durability::Durability;
use crate::error::{Error, at_path};
use crate::layers::LayerState;
use crate::lock;
use crate::objects;
use crate::staged::Staged;
use crate::store::Store;

/// Start of the name of a run; its number in 16 hexadecimal digits follows.
const RUN: &str = "run-";
/// Name of the lock of those who add rows.
const LOCK: &str = "index";
/// Rows sorted in memory at once: 8 MiB.
const ROWS_IN_MEMORY: usize = 1 << 17;

/// Where the bytes of a chunk may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The object that may have them.
    pub object: ContentDigest,
    /// Which of its bytes.
    pub range: FileRange,
}

/// The dedup index of a store: `index/`.
#[derive(Debug)]
pub struct DedupIndex {
    directory: Directory,
    locks: Directory,
    temporary: Directory,
    durability: Arc<Durability>,
    runs: RwLock<Runs>,
}

/// The runs as they were found.
#[derive(Debug, Clone, Default)]
struct Runs {
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
        let runs = RwLock::new(Runs::load(&directory)?);
        Ok(Self { directory, locks, temporary, durability, runs })
    }

    /// Finds out where the bytes of a chunk may be. They have to be hashed before they are used.
    pub fn lookup(&self, chunk: &ContentDigest) -> Option<Place> {
        let key = row::key(chunk);
        let runs = self.runs.read().unwrap_or_else(PoisonError::into_inner);
        runs.usable.iter().rev().find_map(|(_, run)| run.find(&key)).map(|row| row.place)
    }

    /// Adds chunks. What is known of a chunk is replaced.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn add(&self, rows: impl IntoIterator<Item = (ContentDigest, Place)>) -> Result<(), Error> {
        let mut rows =
            rows.into_iter().filter(|(chunk, place)| self.lookup(chunk) != Some(*place)).peekable();
        if rows.peek().is_none() {
            return Ok(());
        }
        let _lock = lock::exclusive(&self.locks, LOCK)?;
        let mut runs = Runs::load(&self.directory)?;
        self.add_sorted(runs.next_number(), &mut runs, rows)?;
        for name in runs.unusable.drain(..) {
            self.directory.remove(&name)?;
        }
        self.publish(runs);
        Ok(())
    }

    /// Makes the index anew of these chunks; returns what it consists of then.
    fn replace(&self, rows: impl Iterator<Item = (ContentDigest, Place)>) -> Result<Shape, Error> {
        let _lock = lock::exclusive(&self.locks, LOCK)?;
        let old = Runs::load(&self.directory)?;
        let mut new = Runs::default();
        self.add_sorted(old.next_number(), &mut new, rows)?;
        for (number, _) in &old.usable {
            self.directory.remove(&run_name(*number))?;
        }
        for name in &old.unusable {
            self.directory.remove(name)?;
        }
        self.publish(new);
        Ok(self.shape())
    }

    /// Counts what there is.
    pub fn shape(&self) -> Shape {
        let runs = self.runs.read().unwrap_or_else(PoisonError::into_inner);
        Shape {
            runs: runs.usable.len() as u64,
            rows: runs.usable.iter().map(|(_, run)| u64::from(run.rows())).sum(),
            unusable: runs.unusable.len() as u64,
        }
    }

    /// Tells whether every file of it is sound.
    pub(crate) fn is_sound(&self) -> bool {
        let runs = self.runs.read().unwrap_or_else(PoisonError::into_inner);
        runs.unusable.is_empty() && runs.usable.iter().all(|(_, run)| run.is_sorted())
    }

    fn publish(&self, runs: Runs) {
        *self.runs.write().unwrap_or_else(PoisonError::into_inner) = runs;
    }

    /// Writes rows as runs with numbers from `number` on, and merges runs where that pays.
    fn add_sorted(
        &self,
        mut number: u64,
        runs: &mut Runs,
        rows: impl Iterator<Item = (ContentDigest, Place)>,
    ) -> Result<(), Error> {
        let _writing = self.durability.writing()?;
        let mut rows = rows.map(|(chunk, place)| Row::new(&chunk, place));
        loop {
            let mut piece: Vec<_> = rows.by_ref().take(ROWS_IN_MEMORY).collect();
            if piece.is_empty() {
                return Ok(());
            }
            piece.sort_unstable();
            let count = u32::try_from(piece.len()).unwrap_or(u32::MAX);
            let run = self.write(number, count, piece.into_iter())?;
            runs.usable.push((number, run));
            number += 1;
            number = self.merge(number, runs)?;
        }
    }

    /// Merges the last runs as long as the one before is not more than twice as long: so there are few of them, and
    /// each row is written again only as often as the index doubles.
    fn merge(&self, mut number: u64, runs: &mut Runs) -> Result<u64, Error> {
        while let [.., (old_number, old), (new_number, new)] = runs.usable.as_slice() {
            let Some(rows) = old.rows().checked_add(new.rows()) else { break };
            if old.rows() / 2 > new.rows() {
                break;
            }
            let merged = self.write(number, rows, Merge::new(old, new))?;
            self.directory.remove(&run_name(*old_number))?;
            self.directory.remove(&run_name(*new_number))?;
            runs.usable.truncate(runs.usable.len() - 2);
            runs.usable.push((number, merged));
            number += 1;
        }
        Ok(number)
    }

    fn write(&self, number: u64, count: u32, rows: impl Iterator<Item = Row>) -> Result<Arc<Run>, Error> {
        let name = run_name(number);
        let failed = || at_path("write", self.directory.path_of(&name));
        let write = || -> io::Result<bool> {
            let staged = Staged::new(&self.directory, &self.temporary, objects::MODE)?;
            let mut writer = Writer::new(staged, count)?;
            for row in rows {
                writer.push(&row)?;
            }
            writer.finish()?.publish_new(&self.directory, &name)
        };
        write().map_err(failed())?;
        let gone = || failed()(io::ErrorKind::InvalidData.into());
        let file = self.directory.open_file(&name)?.ok_or_else(gone)?;
        Run::open(&file).map(Arc::new).map_err(|_| gone())
    }
}

impl Runs {
    fn load(directory: &Directory) -> Result<Self, Error> {
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

    fn next_number(&self) -> u64 {
        let unusable = self.unusable.iter().filter_map(|name| run_number(name));
        let last = self.usable.iter().map(|(number, _)| *number).chain(unusable).max();
        last.map_or(0, |last| last.saturating_add(1))
    }
}

/// The rows of two runs in order; of two with one key only that of the newer run.
struct Merge<'a> {
    old: Rows<'a>,
    new: Rows<'a>,
}

type Rows<'a> = std::iter::Peekable<Box<dyn Iterator<Item = Row> + 'a>>;

impl<'a> Merge<'a> {
    fn new(old: &'a Run, new: &'a Run) -> Self {
        Self { old: rows(old), new: rows(new) }
    }
}

impl Iterator for Merge<'_> {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        match (self.old.peek(), self.new.peek()) {
            (Some(old), Some(new)) if old.key < new.key => self.old.next(),
            (Some(old), Some(new)) if old.key == new.key => {
                self.old.next();
                self.new.next()
            }
            (Some(_), None) => self.old.next(),
            _ => self.new.next(),
        }
    }
}

/// Reads the rows of a run, up to one that is damaged.
fn rows(run: &Run) -> Rows<'_> {
    let rows: Box<dyn Iterator<Item = Row>> = Box::new((0..run.rows()).map_while(|number| run.row(number)));
    rows.peekable()
}

fn run_name(number: u64) -> String {
    format!("{RUN}{number:016x}")
}

fn run_number(name: &str) -> Option<u64> {
    u64::from_str_radix(name.strip_prefix(RUN)?, 16).ok()
}

/// Makes the index of a store anew of the layers whose content is complete. Layers that are damaged are left out.
pub(crate) fn rebuild(store: &Store) -> Result<Shape, Error> {
    let rows = store.layers().list()?.into_iter().flat_map(|toc_digest| rows_of(store, &toc_digest));
    store.index().replace(rows)
}

fn rows_of(store: &Store, toc_digest: &TocDigest) -> Vec<(ContentDigest, Place)> {
    let record = store.layers().get(toc_digest).ok().flatten();
    let toc = record
        .filter(|record| record.state >= LayerState::Complete)
        .and_then(|record| store.layers().toc(&record).ok());
    toc.map(|toc| chunks(&toc).collect()).unwrap_or_default()
}

/// Lists the chunks of a layer whose content is complete, and where they are: pieces of files, as a file in one piece
/// is an object by itself.
pub fn chunks(toc: &Toc) -> impl Iterator<Item = (ContentDigest, Place)> + '_ {
    let contents = toc.entries.iter().filter_map(|entry| entry.content.as_ref());
    contents.filter(|content| content.chunks.len() > 1).flat_map(|content| {
        let object = content.digest;
        let data = content.chunks.iter().filter(|chunk| chunk.kind == ChunkKind::Data);
        data.filter_map(move |chunk| Some((chunk.digest?, Place { object: object?, range: chunk.file })))
    })
}
