//! Keeping the runs few.

use std::iter::Peekable;

use super::row::{Owner, Row};
use super::run::Run;
use super::{DedupIndex, Runs, run_name};
use crate::error::Error;

/// Rows that are quickly written again: 1 MiB of them.
const SMALL: u32 = 1 << 15;
/// How much longer each run is than the next, at least. Eight costs a third more writing than two, which costs least, and a
/// lookup has a third of the runs to search, all but one of them small.
const RATIO: u32 = 8;

impl DedupIndex {
    /// Merges the last runs as long as the one before is small, or not much longer: so there are few of them, at most four
    /// with ten million rows however many layers they came from, and each row is written again only now and then.
    pub(super) fn merge(&self, runs: &mut Runs) -> Result<(), Error> {
        while let [.., (_, old), (_, new)] = runs.usable.as_slice()
            && (old.rows_count() <= SMALL || old.rows_count() / RATIO <= new.rows_count())
        {
            self.merge_last(runs)?;
        }
        Ok(())
    }

    /// Merges all runs into one, so that a lookup has one place to look at. It is worth it after much was added.
    pub(super) fn merge_all(&self, runs: &mut Runs) -> Result<(), Error> {
        while runs.usable.len() > 1 {
            self.merge_last(runs)?;
        }
        Ok(())
    }

    fn merge_last(&self, runs: &mut Runs) -> Result<(), Error> {
        let [.., (old_number, old), (new_number, new)] = runs.usable.as_slice() else { return Ok(()) };
        let (number, rows) = (runs.next_number(), old.rows_count().saturating_add(new.rows_count()));
        let merged = self.write(number, rows, Merge::new(old, new), &[old.objects(), new.objects()])?;
        self.directory.remove(&run_name(*old_number))?;
        self.directory.remove(&run_name(*new_number))?;
        runs.usable.truncate(runs.usable.len().saturating_sub(2));
        runs.usable.push((number, merged));
        Ok(())
    }
}

/// The rows of two runs in order; of two with one key and owner only that of the newer run.
///
/// The objects of the older run come first in the merged one, so the numbers of those of the newer run grow.
struct Merge<O: Iterator<Item = Row>, N: Iterator<Item = Row>> {
    old: Peekable<O>,
    new: Peekable<N>,
}

impl Merge<std::iter::Empty<Row>, std::iter::Empty<Row>> {
    fn new<'a>(
        old: &'a Run,
        new: &'a Run,
    ) -> Merge<impl Iterator<Item = Row> + 'a, impl Iterator<Item = Row> + 'a> {
        let before = old.objects_count();
        let shifted = move |row: Row| match row.owner {
            Owner::Objects => Row { file: row.file.saturating_add(before), ..row },
            Owner::Seed(_) => row,
        };
        Merge { old: old.rows().peekable(), new: new.rows().map(shifted).peekable() }
    }
}

impl<O: Iterator<Item = Row>, N: Iterator<Item = Row>> Iterator for Merge<O, N> {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        match (self.old.peek(), self.new.peek()) {
            (Some(old), Some(new)) if old.order() < new.order() => self.old.next(),
            (Some(old), Some(new)) if old.order() == new.order() => {
                self.old.next();
                self.new.next()
            }
            (Some(_), None) => self.old.next(),
            _ => self.new.next(),
        }
    }
}
