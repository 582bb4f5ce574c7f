//! Which seeds the index knows.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::catalog::{Catalog, Writer};
use super::{DedupIndex, SeedNumber};
use crate::error::{Error, at_path};
use crate::lock;
use crate::objects;
use crate::staged::Staged;

/// Start of the name of a catalog; the number of its seed in 8 hexadecimal digits follows.
const CATALOG: &str = "seed-";
/// Name of the lock of those who change which seeds there are, and what is known of them.
const LOCK: &str = "seeds";

impl DedupIndex {
    /// Lists the seeds by number. One whose catalog is damaged is left out.
    pub(crate) fn catalogs(&self) -> Result<Vec<(SeedNumber, Arc<Catalog>)>, Error> {
        let mut catalogs = Vec::new();
        for name in self.directory.names()? {
            let Some(number) = seed_number(&name) else { continue };
            // Another process may have removed it meanwhile.
            let Some(file) = self.directory.open_file(&name)? else { continue };
            catalogs.extend(Catalog::open(&file).map(|catalog| (number, Arc::new(catalog))));
        }
        catalogs.sort_by_key(|(number, _)| *number);
        Ok(catalogs)
    }

    /// Finds the seed of a name.
    pub(crate) fn catalog(&self, name: &str) -> Result<Option<(SeedNumber, Arc<Catalog>)>, Error> {
        Ok(self.catalogs()?.into_iter().find(|(_, catalog)| catalog.name() == name))
    }

    /// Keeps others from changing which seeds there are, as long as the lock lives.
    pub(crate) fn lock_seeds(&self) -> Result<File, Error> {
        lock::exclusive(&self.locks, LOCK)
    }

    /// Returns a number for a new seed. The caller holds the lock.
    pub(crate) fn free_number(&self) -> Result<SeedNumber, Error> {
        let names = self.directory.names()?;
        let last = names.iter().filter_map(|name| seed_number(name)).max();
        Ok(last.map_or(SeedNumber::FIRST, SeedNumber::next))
    }

    /// Starts the catalog of a seed whose files are listed from `listed` on, in nanoseconds since 1970.
    pub(crate) fn start_catalog(&self, name: &str, listed: i64, numbers: u32) -> Result<Writer, Error> {
        let start = || {
            let staged = Staged::new(&self.directory, &self.temporary, objects::MODE)?;
            Writer::new(staged, name, listed, numbers)
        };
        start().map_err(at_path("create a file in", self.directory.path()))
    }

    /// Puts the catalog of a seed in the place of the one there was. The caller holds the lock.
    pub(crate) fn put_catalog(&self, seed: SeedNumber, catalog: Writer) -> Result<(), Error> {
        let name = catalog_name(seed);
        let put = || -> io::Result<()> { catalog.finish()?.replace(&self.directory, &name) };
        let _writing = self.durability.writing()?;
        put().map_err(at_path("write", self.directory.path_of(&name)))
    }

    /// Forgets a seed, and what is known of its files. The caller holds the lock.
    pub(crate) fn remove_seed(&self, seed: SeedNumber) -> Result<(), Error> {
        self.remove_rows(seed)?;
        self.directory.remove(&catalog_name(seed)).map(drop)
    }

    /// Forgets what is known of the files of all seeds, as the rows that point to them are damaged; the seeds stay.
    pub(super) fn forget_files(&self) -> Result<(), Error> {
        for (number, catalog) in self.catalogs()? {
            self.put_catalog(number, self.start_catalog(catalog.name(), 0, 0)?)?;
        }
        Ok(())
    }
}

fn catalog_name(seed: SeedNumber) -> String {
    format!("{CATALOG}{:08x}", seed.get())
}

fn seed_number(name: &str) -> Option<SeedNumber> {
    let number = u32::from_str_radix(name.strip_prefix(CATALOG)?, 16).ok()?;
    SeedNumber::new(number)
}
