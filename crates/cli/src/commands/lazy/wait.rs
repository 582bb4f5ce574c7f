//! Waiting for an image.

use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use mount::daemon::Client;
use mount::daemon::protocol::Question;
use mount::rootfs;
use store::Image;

use super::super::daemon::client;
use super::find;
use crate::args::Wait;
use crate::ui;

/// Between two looks at what keeps an image from being here.
const INTERVAL: Duration = Duration::from_secs(1);
/// Reasons that are told: whoever is asked may find a new one each time.
const REASONS_MAX: usize = 20;

/// Returns when all of an image is here.
pub(crate) fn run(args: &Wait) -> anyhow::Result<ExitCode> {
    let store = args.store.open()?;
    let image = find(&store, &args.subject)?;
    if rootfs::is_complete(&store, &image)? {
        return Ok(ExitCode::SUCCESS);
    }
    let mut daemon = client(store.path())?;
    let (is_here, told) = channel();
    let waited = thread::scope(|scope| {
        scope.spawn(|| say_why(store.path(), &image, told));
        let waited = daemon.tell(&Question::Wait { manifest: image.manifest });
        drop(is_here);
        waited
    });
    waited.with_context(|| format!("cannot bring in all of `{}`", image.name))?;
    Ok(ExitCode::SUCCESS)
}

/// Says why requests for an image fail, each reason once, until the channel closes.
fn say_why(store: &Path, image: &Image, told: Receiver<()>) {
    let mut said = Vec::new();
    while told.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
        // A daemon that ends at the moment is followed by another one.
        let Ok(Some(mut daemon)) = Client::connect(store) else { continue };
        for failure in daemon.failures(&image.manifest).unwrap_or_default() {
            if said.len() < REASONS_MAX && !said.contains(&failure) {
                ui::say(&format!("still waiting for `{}`: {failure}; it is tried again\n", image.name));
                said.push(failure);
            }
        }
    }
}
