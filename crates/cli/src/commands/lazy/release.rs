//! Ending what nobody needs any more.

use mount::daemon::Client;
use store::{Image, Store};

/// Has an image served no longer unless it is still mounted, and ends a daemon that serves nothing more.
pub(in crate::commands) fn release(store: &Store, image: &Image) -> anyhow::Result<()> {
    let is_mounted = store.mounts().list()?.iter().any(|record| record.image.manifest == image.manifest);
    match Client::connect(store.path())?.filter(|_| !is_mounted) {
        Some(client) => Ok(client.forget(&image.manifest)?),
        None => Ok(()),
    }
}

/// Ends a daemon that serves nothing, if there is one.
pub(super) fn stop_idle(store: &Store) -> anyhow::Result<()> {
    Client::connect(store.path())?.map_or(Ok(()), |client| Ok(client.stop_if_idle()?))
}
