//! Mounts that engines find, made again: after a reboot, or when whoever served what is missing is gone.

use std::os::fd::AsFd;
use std::path::Path;

use containers_storage::AdditionalStore;
use containers_storage::additional::Restored;
use mount::daemon::Client;
use mount::overlay::DataDirectory;
use store::Store;

use super::super::daemon::client;
use super::super::lazy::resume;
use super::place;

/// Mounts what engines find and is not mounted, or what nobody serves the rest of. Returns what became of it, a line each.
pub(in crate::commands) fn restore(
    store: &Store,
    additional: &AdditionalStore,
) -> anyhow::Result<Vec<String>> {
    let is_abandoned = Client::connect(store.path())?.is_none() && !additional.incomplete(store)?.is_empty();
    if is_abandoned {
        // Whoever starts a daemon makes them again.
        client(store.path())?;
    }
    if additional.unmounted()?.is_empty() {
        return Ok(Vec::new());
    }
    let missing = resume(store)?;
    let missing = missing.as_ref().map(|(fd, path)| DataDirectory { fd: fd.as_fd(), path });
    Ok(additional.restore(store, missing)?.iter().map(line).collect())
}

/// Has the daemon that was just started serve what engines find, instead of an earlier one.
pub(in crate::commands) fn take_over(store: &Path, objects: DataDirectory<'_>) -> anyhow::Result<()> {
    let Ok(additional) = AdditionalStore::open(&place(store)) else { return Ok(()) };
    let store = Store::open(store)?;
    additional.unmount(&additional.incomplete(&store)?);
    additional.restore(&store, Some(objects))?;
    Ok(())
}

fn line(Restored { id, image, outcome }: &Restored) -> String {
    match outcome {
        Ok(()) => format!("layer {id} of {image} was mounted again"),
        Err(error) => format!("cannot mount layer {id} of {image}: {error}"),
    }
}
