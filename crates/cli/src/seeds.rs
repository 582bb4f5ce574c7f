//! The seeds that a command line asks for.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use store::Store;
use store::seed::{self, Seed, Seeds};

use crate::image_stores::image_stores;

/// What stands for all that podman and the like have: the name of the kind alone.
const IMAGE_STORES: &str = "containers-storage";

/// Opens the seeds of these names, in this order.
pub(crate) fn open(names: &[String], store: &Store) -> anyhow::Result<Seeds> {
    let open = |name: &String| -> anyhow::Result<Arc<dyn Seed>> {
        seed::open(name, &[store.path()]).with_context(|| format!("cannot use the seed `{name}`"))
    };
    let names: Vec<_> = names.iter().map(|name| expand(name)).collect::<anyhow::Result<_>>()?;
    Ok(Seeds::new(names.iter().flatten().map(open).collect::<anyhow::Result<Vec<_>>>()?))
}

/// Puts the places of this machine for a kind that was named without one.
fn expand(name: &str) -> anyhow::Result<Vec<String>> {
    if name != IMAGE_STORES {
        return Ok(vec![name.to_owned()]);
    }
    let place = |store: PathBuf| format!("{IMAGE_STORES}:{}", store.display());
    Ok(image_stores()?.into_iter().map(place).collect())
}
