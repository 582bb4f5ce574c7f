//! Waiting for an image.

use std::process::ExitCode;

use anyhow::Context;
use mount::daemon::protocol::Question;
use mount::rootfs;

use super::super::daemon::client;
use super::find;
use crate::args::Wait;

/// Returns when all of an image is here.
pub(crate) fn run(args: &Wait) -> anyhow::Result<ExitCode> {
    let store = args.store.open()?;
    let image = find(&store, &args.subject)?;
    if !rootfs::is_complete(&store, &image)? {
        client(store.path())?
            .tell(&Question::Wait { manifest: image.manifest })
            .with_context(|| format!("cannot bring in all of `{}`", image.name))?;
    }
    Ok(ExitCode::SUCCESS)
}
