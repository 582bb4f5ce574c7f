//! Doing without the daemon.

use std::process::ExitCode;

use anyhow::{Context, ensure};
use mount::daemon::Client;
use mount::rootfs;

use super::find;
use crate::args::Detach;

/// Makes the mounts of an image anew, without the daemon, and ends one that is not needed any more.
pub(crate) fn run(args: &Detach) -> anyhow::Result<ExitCode> {
    let store = args.store.open()?;
    let image = find(&store, &args.subject)?;
    ensure!(
        rootfs::is_complete(&store, &image)?,
        "`{}` is not complete; `morsel wait` brings what is missing",
        image.name
    );
    for record in store.mounts().list()?.into_iter().filter(|record| record.image.layers == image.layers) {
        let cannot = || format!("cannot mount `{}` anew", record.directory.display());
        if rootfs::umount(&store, &record.directory, true).with_context(cannot)? {
            let request = rootfs::Request {
                image: &record.image,
                directory: &record.directory,
                writable: record.writable.as_deref(),
            };
            rootfs::mount(&store, &request, None).with_context(cannot)?;
        }
    }
    if let Some(client) = Client::connect(store.path())? {
        client.forget(&image.manifest)?;
    }
    Ok(ExitCode::SUCCESS)
}
