//! The seeds of a pull.

use std::sync::Arc;

use anyhow::Context;
use store::Store;
use store::seed::{self, Seed, Seeds};

use crate::ui;

/// Opens the seeds of these names, and then those that the dedup index of the store knows. Of the latter, one that is not
/// there any more is told of, and left out.
pub(crate) fn open(names: &[String], store: &Store) -> anyhow::Result<Seeds> {
    let mut seeds = names.iter().map(|name| open_one(name, store)).collect::<anyhow::Result<Vec<_>>>()?;
    for known in seed::known(store)? {
        if seeds.iter().any(|seed| seed.name().text().as_ref() == Some(&known.name)) {
            continue;
        }
        match open_one(&known.name, store) {
            Ok(seed) => seeds.push(seed),
            Err(error) => {
                ui::say(&format!("the seed `{}` is not used: {}\n", known.name, error.root_cause()))
            }
        }
    }
    let seeds = seeds.into_iter().map(|seed| seed::with_index(store, seed));
    Ok(Seeds::new(seeds.collect::<Result<Vec<_>, _>>()?))
}

/// Opens the seed of a name.
pub(crate) fn open_one(name: &str, store: &Store) -> anyhow::Result<Arc<dyn Seed>> {
    seed::open(name, &[store.path()]).with_context(|| format!("cannot use the seed `{name}`"))
}
