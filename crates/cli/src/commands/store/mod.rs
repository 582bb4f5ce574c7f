//! The verbs that look after the store.

mod du;
mod fsck;
mod gc;
mod images;
mod rm;

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

fn say_waiting() {
    say("waiting for other processes that use the store\n");
}
