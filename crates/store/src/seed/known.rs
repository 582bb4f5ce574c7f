//! The seeds that the dedup index knows.

use std::path::Path;

use serde::Serialize;

use crate::error::Error;
use crate::fetch::Count;
use crate::store::Store;

/// A seed whose files are in the dedup index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KnownSeed {
    /// Its name, which [`open`](super::open) takes.
    pub name: String,
    /// Its files.
    pub files: Count,
    /// When they were listed, in seconds since 1970; 0 when they have to be hashed again, as the index was damaged.
    pub listed: i64,
}

/// Lists the seeds that the index of a store knows, those first that were added first.
///
/// # Errors
/// Those of the file system.
pub fn known(store: &Store) -> Result<Vec<KnownSeed>, Error> {
    let catalogs = store.index().catalogs()?;
    let known = catalogs.into_iter().map(|(_, catalog)| {
        let mut files = Count::default();
        catalog.files().for_each(|(_, file)| files.add(file.stamp.len));
        KnownSeed { name: catalog.name().to_owned(), files, listed: catalog.listed() / 1_000_000_000 }
    });
    Ok(known.collect())
}

/// Forgets a seed: its name, or its path; `false` when the index does not know it. Its files are not touched.
///
/// # Errors
/// Those of the file system.
pub fn forget(store: &Store, name: &str) -> Result<bool, Error> {
    let index = store.index();
    let _lock = index.lock_seeds()?;
    let absolute = Path::new(name).canonicalize().ok();
    let is_meant = |known: &str| {
        let path = known.split_once(':').map(|(_, path)| path);
        known == name
            || path == Some(name)
            || (absolute.is_some() && path.map(Path::new) == absolute.as_deref())
    };
    let mut is_known = false;
    for (number, catalog) in index.catalogs()? {
        if is_meant(catalog.name()) {
            index.remove_seed(number)?;
            is_known = true;
        }
    }
    Ok(is_known)
}
