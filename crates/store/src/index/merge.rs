//! Keeping the runs few.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::Arc;

use super::row::{Order, Owner, Row};
use super::run::Run;
use super::{DedupIndex, Runs, run_name};
use crate::error::Error;

/// Rows that are quickly written again: 1 MiB of them.
const SMALL: u32 = 1 << 15;
/// How much longer each run is than all after it, at least.
const RATIO: u32 = 8;
/// How much longer the first run is than all after it, at least, once there was time to see to it. Each row is written again
/// about as often.
const SETTLED_RATIO: u32 = 16;

/// Tells from which run on merging is worth it: from the first one if much came after it, else all but that.
fn settled_from(runs: &Runs) -> usize {
    let mut counts = runs.usable.iter().map(|(_, run)| run.rows_count());
    let first = counts.next().unwrap_or(0);
    let rest = counts.fold(0, u32::saturating_add);
    usize::from(rest <= first / SETTLED_RATIO)
}

impl DedupIndex {
    /// Merges the last runs into one, as long as the one before is small, or not much longer. So there are few runs, at most
    /// four with ten million rows however many layers they came from, and each row is written again only now and then.
    pub(super) fn merge(&self, runs: &mut Runs) -> Result<(), Error> {
        let (mut first, mut rows) = (runs.usable.len(), 0_u32);
        for (place, (_, run)) in runs.usable.iter().enumerate().rev() {
            let count = run.rows_count();
            if rows > 0 && count > SMALL && count / RATIO > rows {
                break;
            }
            (first, rows) = (place, rows.saturating_add(count));
        }
        self.merge_from(runs, first)
    }

    /// Merges all runs into one, so that a lookup has one place to look at. It is worth it after much was added.
    pub(super) fn merge_all(&self, runs: &mut Runs) -> Result<(), Error> {
        self.merge_from(runs, 0)
    }

    /// Merges as much as is worth it when nobody waits, which leaves two runs at most; tells whether there was anything to merge.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn settle(&self) -> Result<bool, Error> {
        let is_settled = |runs: &Runs| runs.usable.len() <= settled_from(runs).saturating_add(1);
        if is_settled(&Runs::load(&self.directory)?) {
            return Ok(false);
        }
        self.change(|runs| self.merge_from(runs, settled_from(runs)))?;
        Ok(true)
    }

    /// Merges the runs from a place on.
    fn merge_from(&self, runs: &mut Runs, first: usize) -> Result<(), Error> {
        let number = runs.next_number();
        let Some(merged @ [_, _, ..]) = runs.usable.get(first..) else { return Ok(()) };
        let rows = merged.iter().fold(0_u32, |rows, (_, run)| rows.saturating_add(run.rows_count()));
        let objects: Vec<_> = merged.iter().map(|(_, run)| run.objects()).collect();
        let run = self.write(number, rows, Merge::new(merged), &objects)?;
        for (old, _) in merged {
            self.directory.remove(&run_name(*old))?;
        }
        runs.usable.truncate(first);
        runs.usable.push((number, run));
        Ok(())
    }
}

/// The rows of runs in order; of those with one key and owner, that of the newest run comes first.
///
/// The objects of the runs come one after another in the merged one, so the numbers of those of newer runs grow.
struct Merge<I> {
    /// The newest first.
    runs: Vec<I>,
    /// The next row of each run that has one, with the place of the run.
    next: BinaryHeap<Reverse<(Order, usize, Row)>>,
}

impl Merge<std::iter::Empty<Row>> {
    /// Takes runs by ascending number.
    fn new(runs: &[(u64, Arc<Run>)]) -> Merge<impl Iterator<Item = Row>> {
        let mut before = 0_u32;
        let shifted = runs.iter().map(|(_, run)| {
            let shift = before;
            before = before.saturating_add(run.objects_count());
            run.rows().map(move |row| match row.owner() {
                Owner::Objects => Row { file: row.file.saturating_add(shift), ..row },
                Owner::Seed(_) => row,
            })
        });
        let mut runs: Vec<_> = shifted.collect();
        runs.reverse();
        let first = |(place, rows): (usize, &mut _)| Some(Reverse(head(place, Iterator::next(rows)?)));
        Merge { next: runs.iter_mut().enumerate().filter_map(first).collect(), runs }
    }
}

fn head(place: usize, row: Row) -> (Order, usize, Row) {
    (row.order, place, row)
}

impl<I: Iterator<Item = Row>> Iterator for Merge<I> {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        let mut least = self.next.peek_mut()?;
        let Reverse((_, place, row)) = *least;
        match self.runs.get_mut(place).and_then(Iterator::next) {
            Some(next) => *least = Reverse(head(place, next)),
            None => drop(PeekMut::pop(least)),
        }
        Some(row)
    }
}
