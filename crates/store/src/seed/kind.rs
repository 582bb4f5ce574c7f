//! The kinds of seeds, and opening one by its name.

use std::path::Path;
use std::sync::Arc;

use super::{
    ContainersStorage, HostRoot, OciLayout, OstreeRepo, OwnStore, Seed, containers_storage, host, oci_layout,
    ostree, own_store,
};
use crate::error::Error;

/// A kind of seed.
struct Kind {
    /// What a name of that kind begins with, before a colon.
    name: &'static str,
    /// Tells whether a directory looks like one.
    is_at: fn(&Path) -> bool,
    /// Opens one. Directories that belong to the store itself are left out of what it lists.
    open: Open,
}

type Open = fn(&Path, &[&Path]) -> Result<Arc<dyn Seed>, Error>;

/// All of them. Of those that a directory looks like, the first counts; any looks like the last.
const KINDS: &[Kind] = &[
    Kind {
        name: containers_storage::KIND,
        is_at: containers_storage::is_at,
        open: |path, _| Ok(Arc::new(ContainersStorage::open(path)?)),
    },
    Kind { name: ostree::KIND, is_at: ostree::is_at, open: |path, _| Ok(Arc::new(OstreeRepo::open(path)?)) },
    Kind {
        name: oci_layout::KIND,
        is_at: oci_layout::is_at,
        open: |path, _| Ok(Arc::new(OciLayout::open(path)?)),
    },
    Kind {
        name: own_store::KIND,
        is_at: own_store::is_at,
        open: |path, _| Ok(Arc::new(OwnStore::open(path)?)),
    },
    Kind {
        name: host::KIND,
        is_at: |_| true,
        open: |path, left_out| Ok(Arc::new(HostRoot::open(path, left_out)?)),
    },
];

/// Opens the seed of that name: `KIND:PATH`, or a path, which is looked at to find out what it is.
///
/// # Errors
/// [`Error::NoSeed`] when there is nothing at the path, and those of the seed.
pub fn open(name: &str, left_out: &[&Path]) -> Result<Arc<dyn Seed>, Error> {
    let named = |kind: &&Kind| name.strip_prefix(kind.name).is_some_and(|rest| rest.starts_with(':'));
    let (kind, path) = match KINDS.iter().find(named) {
        Some(kind) => (Some(kind), Path::new(name.split_once(':').map_or(name, |(_, path)| path))),
        None => (KINDS.iter().find(|kind| (kind.is_at)(Path::new(name))), Path::new(name)),
    };
    if !path.exists() {
        return Err(Error::NoSeed { path: path.to_owned() });
    }
    kind.map_or_else(
        || Ok(Arc::new(HostRoot::open(path, left_out)?) as _),
        |kind| (kind.open)(path, left_out),
    )
}
