//! The verbs that look after the store.

mod du;
mod fsck;
mod gc;
mod images;
mod rm;

use std::path::Path;

use store::Wait;

pub(crate) use du::run as du;
pub(crate) use fsck::{repaired, run as fsck};
pub(crate) use gc::run as gc;
pub(crate) use images::run as images;
pub(crate) use rm::run as rm;

use crate::ui::say;

/// Says whether other processes are waited for.
fn wait(no_wait: bool, notice: &dyn Fn()) -> Wait<'_> {
    if no_wait { Wait::No } else { Wait::Yes(notice) }
}

/// Says that others are waited for. A daemon lets go of the store when it is asked to; its readers wait.
fn say_waiting(store: &Path) {
    say("waiting for other processes that use the store\n");
    if let Err(error) = super::daemon::give_way(store) {
        say(&format!("the daemon does not give way: {error:#}\n"));
    }
}
