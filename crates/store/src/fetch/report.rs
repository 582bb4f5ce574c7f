//! What bringing in a layer took.

use chunked::digest::DiffId;
use chunked::plan::{FetchPlan, Strategy};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::Needs;
use super::failure::Failure;
use super::proof::Proven;
use crate::seed::take::Taken;
use crate::seed::{SeedName, Seeds};

/// A number of things and the bytes of content in them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// How many.
    pub count: u64,
    /// Bytes of content, not compressed.
    pub bytes: u64,
}

impl Count {
    pub(crate) fn add(&mut self, bytes: u64) {
        self.count = self.count.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// What did not have to be fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reused {
    /// Files that were in the store.
    pub objects: Count,
    /// Files with the content of another file of the layer.
    pub same: Count,
    /// Files that a lower layer of the same pull brought.
    pub other_layers: Count,
    /// Chunks that an earlier, interrupted pull left.
    pub resumed: Count,
    /// Chunks that were part of other files in the store.
    pub chunks: Count,
    /// What came from seeds: those that were of use, or wrong.
    pub seeds: Vec<FromSeed>,
}

/// What came from a seed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FromSeed {
    /// Which.
    pub seed: SeedName,
    /// Whole files.
    pub files: Count,
    /// Those of them that share their bytes with the seed's files.
    pub cloned: Count,
    /// Chunks of files that were not there as a whole.
    pub chunks: Count,
    /// What turned out to be something else when it was hashed, or could not be read, and came from elsewhere.
    pub wrong: Count,
}

impl FromSeed {
    /// Starts without anything.
    pub fn new(seed: SeedName) -> Self {
        let none = Count::default();
        Self { seed, files: none, cloned: none, chunks: none, wrong: none }
    }

    /// Counts the bytes that did not have to be fetched.
    pub fn bytes(&self) -> u64 {
        self.files.bytes.saturating_add(self.chunks.bytes)
    }

    /// Adds what came from the same seed for another layer.
    pub fn add(&mut self, other: &Self) {
        let ours = [&mut self.files, &mut self.cloned, &mut self.chunks, &mut self.wrong];
        let theirs = [other.files, other.cloned, other.chunks, other.wrong];
        for (ours, theirs) in ours.into_iter().zip(theirs) {
            ours.count = ours.count.saturating_add(theirs.count);
            ours.bytes = ours.bytes.saturating_add(theirs.bytes);
        }
    }
}

/// Counts what comes from each seed of a pull.
#[derive(Debug)]
pub(super) struct FromSeeds(Mutex<Vec<FromSeed>>);

impl FromSeeds {
    pub(super) fn new(seeds: &Seeds) -> Self {
        Self(Mutex::new(seeds.names().cloned().map(FromSeed::new).collect()))
    }

    pub(super) fn file(&self, place: usize, bytes: u64, taken: Taken) {
        self.with(place, |from| {
            from.files.add(bytes);
            if taken == Taken::Cloned {
                from.cloned.add(bytes);
            }
        });
    }

    pub(super) fn chunk(&self, place: usize, bytes: u64) {
        self.with(place, |from| from.chunks.add(bytes));
    }

    pub(super) fn wrong(&self, place: usize, bytes: u64) {
        self.with(place, |from| from.wrong.add(bytes));
    }

    fn with(&self, place: usize, change: impl FnOnce(&mut FromSeed)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(from) = all.get_mut(place) {
            change(from);
        }
    }

    /// Returns those that anything came from, or should have.
    fn used(&self) -> Vec<FromSeed> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_used = |from: &&FromSeed| from.bytes() > 0 || from.wrong.count > 0;
        all.iter().filter(is_used).cloned().collect()
    }
}

impl Reused {
    pub(super) fn object(&mut self, bytes: u64) -> super::needs::Want {
        self.objects.add(bytes);
        super::needs::Want::Stored
    }

    pub(super) fn same(&mut self, bytes: u64) -> super::needs::Want {
        self.same.add(bytes);
        super::needs::Want::Stored
    }

    pub(super) fn elsewhere(&mut self, bytes: u64) -> super::needs::Want {
        self.other_layers.add(bytes);
        super::needs::Want::Elsewhere
    }

    pub(super) fn resumed(&mut self, bytes: u64) {
        self.resumed.add(bytes);
    }

    pub(super) fn chunk(&mut self, bytes: u64) {
        self.chunks.add(bytes);
    }

    /// Counts all bytes that were not fetched.
    pub fn bytes(&self) -> u64 {
        let parts = [self.objects, self.same, self.other_layers, self.resumed, self.chunks];
        let seeds = self.seeds.iter().map(FromSeed::bytes);
        parts.iter().map(|part| part.bytes).chain(seeds).fold(0, u64::saturating_add)
    }
}

/// What bringing in a layer took.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fetched {
    /// How the missing bytes were asked for first; `None` when nothing was missing.
    pub strategy: Option<Strategy>,
    /// Compressed bytes of what was missing.
    pub needed: u64,
    /// Compressed bytes that came although nobody needs them, because asking around them takes longer.
    pub wasted: u64,
    /// Why the missing bytes were planned anew, as often as they were.
    pub replans: Vec<String>,
    /// What did not have to be fetched.
    pub reused: Reused,
    /// Bytes of the tar.
    pub tar_len: u64,
    /// The tar's digest, unless nobody wanted to know.
    pub diff_id: Option<DiffId>,
}

impl Fetched {
    pub(super) fn of(needs: &Needs<'_>) -> Self {
        Self {
            strategy: None,
            needed: 0,
            wasted: 0,
            replans: Vec::new(),
            reused: needs.reused.clone(),
            tar_len: 0,
            diff_id: None,
        }
    }

    pub(super) fn planned(&mut self, plan: &FetchPlan) {
        if self.strategy.is_none() {
            (self.strategy, self.needed) = (Some(plan.strategy), plan.needed);
        }
    }

    pub(super) fn replanned(&mut self, why: &Failure) {
        self.replans.push(why.reason());
    }

    pub(super) fn seeded(&mut self, seeds: &FromSeeds) {
        self.reused.seeds = seeds.used();
    }

    pub(super) fn prove(&mut self, proven: Proven, expected: Option<&DiffId>) -> Result<(), Failure> {
        match (proven.diff_id, expected) {
            (Some(found), Some(expected)) if found != *expected => {
                return Err(Failure::DiffId { expected: *expected, found });
            }
            _ => {}
        }
        (self.tar_len, self.diff_id) = (proven.tar_len, proven.diff_id);
        Ok(())
    }
}
