//! Looking up.

use std::sync::Arc;

use chunked::ContentDigest;

use super::row::{Order, Owner};
use super::run::Run;
use super::{Place, Runs, SeedNumber, SeedPlace};
use crate::directory::Directory;
use crate::error::Error;

/// Lookups whose memory comes at the same time. A core waits for a dozen lines or two.
const TOGETHER: usize = 32;

/// What a dedup index knew when the view was taken. Lookups take no lock, so a processor begins the next ones while it waits
/// for the memory of one.
#[derive(Debug, Clone, Default)]
pub struct View(pub(super) Arc<Runs>);

impl View {
    /// Reads the index in a directory.
    pub(crate) fn load(directory: &Directory) -> Result<Self, Error> {
        Runs::load(directory).map(|runs| Self(Arc::new(runs)))
    }

    /// Finds out which object may have the bytes of a chunk. They have to be hashed before they are used.
    pub fn lookup(&self, chunk: &ContentDigest) -> Option<Place> {
        place(self.0.find(Order::of(chunk, Owner::Objects))?)
    }

    /// Looks each of some chunks up. That is quicker than one by one: what they read of the index comes into the caches of
    /// the processor at the same time.
    pub fn lookup_each(&self, chunks: &[ContentDigest]) -> Vec<Option<Place>> {
        let mut places = Vec::with_capacity(chunks.len());
        for chunks in chunks.chunks(TOGETHER) {
            self.lookup_together(chunks, &mut places);
        }
        places
    }

    /// Looks chunks up step by step, and waits for the memory of each step only once.
    fn lookup_together(&self, chunks: &[ContentDigest], places: &mut Vec<Option<Place>>) {
        let wanted = || chunks.iter().map(|chunk| Order::of(chunk, Owner::Objects));
        wanted().for_each(|wanted| self.0.runs().for_each(|run| run.touch_bucket(wanted)));
        let found: Vec<_> = wanted().map(|wanted| self.0.find(wanted)).collect();
        found.iter().flatten().for_each(|(run, number)| run.touch_object(*number));
        places.extend(found.into_iter().map(|found| place(found?)));
    }

    /// Finds out which file of a seed may have the bytes of a content. They have to be hashed before they are used.
    pub(crate) fn lookup_in(&self, seed: SeedNumber, content: &ContentDigest) -> Option<SeedPlace> {
        let (run, number) = self.0.find(Order::of(content, Owner::Seed(seed)))?;
        run.row(number).map(|row| SeedPlace { file: row.file, range: row.range })
    }
}

/// Reads where a row leads.
#[inline]
fn place((run, number): (&Run, u32)) -> Option<Place> {
    let row = run.row(number)?;
    Some(Place { object: run.object(row.file)?, range: row.range })
}
