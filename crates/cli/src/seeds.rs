//! The seeds that a command line asks for.

use std::sync::Arc;

use anyhow::Context;
use store::Store;
use store::seed::{self, Seed, Seeds};

/// Opens the seeds of these names, in this order.
pub(crate) fn open(names: &[String], store: &Store) -> anyhow::Result<Seeds> {
    let open = |name: &String| -> anyhow::Result<Arc<dyn Seed>> {
        seed::open(name, &[store.path()]).with_context(|| format!("cannot use the seed `{name}`"))
    };
    Ok(Seeds::new(names.iter().map(open).collect::<anyhow::Result<Vec<_>>>()?))
}
