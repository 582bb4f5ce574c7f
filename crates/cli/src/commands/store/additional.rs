//! The layers that engines find, when garbage is removed and when the store is checked.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context;
use containers_storage::additional::{Findings, Removed};
use containers_storage::record::chain_ids;
use containers_storage::{AdditionalStore, EngineStorage, LayerId};
use mount::daemon::forget;
use store::Store;

use crate::commands::publish::{place, restore};
use crate::image_stores::image_stores;
use crate::ui;

/// Returns the layers of the additional image store that nothing needs, and that no engine asked for since `grace`; `None`
/// when there is no such store.
pub(super) fn unneeded(
    store: &Store,
    grace: Duration,
) -> anyhow::Result<Option<(AdditionalStore, Vec<LayerId>)>> {
    let Ok(additional) = AdditionalStore::open(&place(store.path())) else { return Ok(None) };
    let unneeded = needed(store, &additional)
        .and_then(|needed| Ok(additional.unneeded(&needed, grace)?))
        .context("cannot tell which layers engines need, so none is removed")?;
    Ok(Some((additional, unneeded)))
}

/// Removes layers that nothing needs, and what was only kept for them to be mounted. The store is ours alone, so nobody
/// publishes, and no daemon runs.
pub(super) fn remove(store: &Store, grace: Duration) -> anyhow::Result<Removed> {
    let Some((additional, unneeded)) = unneeded(store, grace)? else { return Ok(Removed::default()) };
    let removed = additional.remove(&unneeded)?;
    let forgotten = additional.forget_mounts(store)?;
    let mounted: BTreeSet<_> =
        store.mounts().list()?.into_iter().map(|record| record.image.manifest).collect();
    for image in forgotten.iter().filter(|image| !mounted.contains(&image.manifest)) {
        forget(store.path(), &image.manifest)?;
    }
    Ok(removed)
}

/// Checks the additional image store, and repairs it if that is wanted.
pub(super) fn check(store: &Store, repair: bool) -> anyhow::Result<Findings> {
    match AdditionalStore::open(&place(store.path())) {
        Ok(additional) if repair => {
            let findings = additional.check()?;
            additional.repair()?;
            for line in restore(store, &additional)? {
                ui::say(&format!("{line}\n"));
            }
            Ok(findings)
        }
        Ok(additional) => Ok(additional.check()?),
        Err(_) => Ok(Findings::default()),
    }
}

/// Lists the layers that the images of the store have, and those that engines use.
fn needed(store: &Store, additional: &AdditionalStore) -> anyhow::Result<BTreeSet<LayerId>> {
    let mut needed = BTreeSet::new();
    for image in store.images().list()? {
        let mut diff_ids = Vec::new();
        for toc_digest in &image.layers {
            let record = store.layers().get(toc_digest)?;
            diff_ids.extend(record.and_then(|record| record.diff_id));
        }
        needed.extend(chain_ids(&diff_ids));
    }
    let known = additional.engines()?;
    let storages = image_stores()?.into_iter().chain(known).collect::<BTreeSet<_>>();
    for path in storages.iter().filter(|path| *path != additional.path()) {
        needed.extend(EngineStorage::read(path)?.needs());
    }
    Ok(needed)
}
