//! What is done when a store is opened after the machine stopped without syncing it.

use std::num::NonZeroUsize;
use std::thread;

use serde::Serialize;

use crate::durability::DIRTY;
use crate::error::Error;
use crate::fsck::{self, NoProgress, Options, Repairs};
use crate::index;
use crate::store::Store;

/// Seconds by which the clock may have been set back after the marker was written. A machine whose clock is in local time
/// starts with it wrong by up to 14 hours.
const CLOCK_SLACK: i64 = 24 * 60 * 60;

/// What was checked and lost after a power loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Recovery {
    /// Objects that were hashed.
    pub objects: u64,
    /// Bytes of them.
    pub objects_len: u64,
    /// What had to go.
    pub repairs: Repairs,
}

/// Hashes what was written since the marker was made, and removes what the power loss spoiled. The caller has the store for
/// itself.
pub(crate) fn recover(store: &Store) -> Result<Recovery, Error> {
    let marked = store.root().stat(DIRTY)?.map_or(i64::MIN, |stat| stat.st_mtime);
    let since = marked.saturating_sub(CLOCK_SLACK);
    let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let findings = fsck::check(store, &Options { threads, since: Some(since) }, &NoProgress)?;
    store.durability().start_recovery();
    let mut repairs = fsck::repair_with(store, &findings)?;
    if !repairs.index_rebuilt {
        // Its rows may be lost as well.
        index::rebuild(store)?;
        repairs.index_rebuilt = true;
    }
    store.durability().finish_recovery()?;
    Ok(Recovery { objects: findings.objects, objects_len: findings.objects_len, repairs })
}
