//! The seeds of a pull, and those to be indexed.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use store::Store;
use store::seed::{self, Seed, Seeds};

use crate::exit;
use crate::image_stores::image_stores;
use crate::ui;

/// What stands for all that podman and the like have: the name of the kind alone.
const IMAGE_STORES: &str = "containers-storage";

/// Opens the seeds of these names, and then those that the dedup index of the store knows. Of the latter, one that is not
/// there any more is told of, and left out.
pub(crate) fn open(names: &[String], store: &Store) -> anyhow::Result<Seeds> {
    if store.index().shape().unusable > 0 {
        ui::say("a part of the dedup index is damaged, and not used; `morsel index update` makes it anew\n");
    }
    let mut seeds = named(names, store)?;
    for known in seed::known(store)? {
        if seeds.iter().any(|seed| seed.name().text().as_ref() == Some(&known.name)) {
            continue;
        }
        match open_one(&known.name, store) {
            Ok(seed) => seeds.push(seed),
            Err(error) => {
                ui::say(&format!(
                    "the seed `{}` is not used: {}\n",
                    known.name,
                    exit::words(error.root_cause())
                ));
            }
        }
    }
    let seeds = seeds.into_iter().map(|seed| seed::with_index(store, seed));
    Ok(Seeds::new(seeds.collect::<Result<Vec<_>, _>>()?))
}

/// Opens the seeds of these names, in this order.
pub(crate) fn named(names: &[String], store: &Store) -> anyhow::Result<Vec<Arc<dyn Seed>>> {
    let names: Vec<_> = names.iter().map(|name| expand(name)).collect::<anyhow::Result<_>>()?;
    names.iter().flatten().map(|name| open_one(name, store)).collect()
}

fn open_one(name: &str, store: &Store) -> anyhow::Result<Arc<dyn Seed>> {
    seed::open(name, &[store.path()]).with_context(|| format!("cannot use the seed `{name}`"))
}

/// Puts the places of this machine for a kind that was named without one.
fn expand(name: &str) -> anyhow::Result<Vec<String>> {
    if name != IMAGE_STORES {
        return Ok(vec![name.to_owned()]);
    }
    let place = |store: PathBuf| format!("{IMAGE_STORES}:{}", store.display());
    Ok(image_stores()?.into_iter().map(place).collect())
}
