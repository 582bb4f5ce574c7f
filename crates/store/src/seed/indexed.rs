//! A seed whose files are in the dedup index.

use std::path::Path;
use std::sync::Arc;

use chunked::ContentDigest;

use super::{Abilities, Candidate, Regular, Seed, SeedName, Visit};
use crate::error::Error;
use crate::index::catalog::Catalog;
use crate::index::{SeedNumber, SeedPlace, View};
use crate::store::Store;

/// A seed whose files and chunks are found by digest, as the dedup index knows them; and in whatever way it has itself.
#[derive(Debug)]
struct Indexed {
    seed: Arc<dyn Seed>,
    index: View,
    number: SeedNumber,
    catalog: Arc<Catalog>,
}

/// Lets the dedup index of a store help a seed, if it knows it.
///
/// # Errors
/// Those of the file system of the store.
pub fn with_index(store: &Store, seed: Arc<dyn Seed>) -> Result<Arc<dyn Seed>, Error> {
    let index = store.index();
    let known = seed.name().text().map(|name| index.catalog(&name)).transpose()?.flatten();
    Ok(match known {
        Some((number, catalog)) => Arc::new(Indexed { seed, index: index.view(), number, catalog }),
        None => seed,
    })
}

impl Indexed {
    /// Finds the file that a row points to, if it looks as it did when it was hashed; otherwise reading it is a waste.
    fn find(&self, place: &SeedPlace) -> Option<Regular> {
        let listed = self.catalog.file(place.file)?;
        self.seed.open(listed.path).filter(|found| found.stamp() == listed.stamp)
    }

    fn lookup(&self, digest: &ContentDigest, len: u64) -> Option<SeedPlace> {
        self.index.lookup_in(self.number, digest).filter(|place| place.range.len() == len)
    }

    fn by_digest(&self, digest: &ContentDigest, len: u64) -> Option<Candidate> {
        let place = self.lookup(digest, len)?;
        let found = self.find(&place)?;
        let file = found.open()?;
        Some(match found.stamp().len == len {
            true => Candidate::File(file),
            false => Candidate::Part(Arc::new(file), place.range.start()),
        })
    }
}

impl Seed for Indexed {
    fn name(&self) -> &SeedName {
        self.seed.name()
    }

    fn abilities(&self) -> Abilities {
        Abilities { digests: true, chunks: true, ..self.seed.abilities() }
    }

    fn file(&self, digest: &ContentDigest, len: u64) -> Option<Candidate> {
        let own = || self.seed.abilities().digests.then(|| self.seed.file(digest, len)).flatten();
        self.by_digest(digest, len).or_else(own)
    }

    /// What did not change since the files were listed is found by digest, if it is what is wanted.
    fn at(&self, path: &str) -> Vec<Regular> {
        let mut found = self.seed.at(path);
        found.retain(|file| file.stamp().ctime >= self.catalog.listed());
        found
    }

    fn has_directory(&self, path: &str) -> bool {
        self.seed.has_directory(path)
    }

    fn chunk(&self, digest: &ContentDigest, len: u64) -> Option<Candidate> {
        let own = || self.seed.abilities().chunks.then(|| self.seed.chunk(digest, len)).flatten();
        self.by_digest(digest, len).or_else(own)
    }

    fn walk(&self, visit: Visit<'_>) -> Result<(), Error> {
        self.seed.walk(visit)
    }

    fn open(&self, path: &Path) -> Option<Regular> {
        self.seed.open(path)
    }
}
