//! The verbs that look after the store.

mod additional;
mod du;
mod fsck;
mod gc;
mod images;
mod rm;
pub(super) mod room;
pub(super) mod sync;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use store::{Exclusive, Store, Wait};

pub(crate) use du::run as du;
pub(crate) use fsck::{repaired, run as fsck};
pub(crate) use gc::run as gc;
pub(crate) use images::run as images;
pub(crate) use rm::run as rm;
pub(crate) use sync::run as sync;

use crate::ui::say;

/// Between two questions to a daemon: the one that follows may have the store before we do.
const INTERVAL: Duration = Duration::from_millis(300);

/// Takes the store for this process alone. A daemon lets go of it when it is asked to; its readers wait.
fn take(store: Store, no_wait: bool) -> anyhow::Result<Exclusive> {
    if no_wait {
        return Ok(Exclusive::take(store, Wait::No)?);
    }
    let (path, is_taken) = (store.path().to_owned(), Arc::new(AtomicBool::new(false)));
    let taken = Exclusive::take(store, Wait::Yes(&|| say_waiting(path.clone(), Arc::clone(&is_taken))));
    is_taken.store(true, Ordering::Release);
    Ok(taken?)
}

/// Says that others are waited for, and asks daemons to give way until none is left.
fn say_waiting(store: PathBuf, is_taken: Arc<AtomicBool>) {
    say("waiting for other processes that use the store\n");
    thread::spawn(move || {
        while !is_taken.load(Ordering::Acquire) {
            // One that is just ending does not answer.
            let _ = super::daemon::give_way(&store);
            thread::sleep(INTERVAL);
        }
    });
}
