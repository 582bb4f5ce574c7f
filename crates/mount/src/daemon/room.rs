//! When to look whether content takes more room than it may.

use std::time::{Duration, Instant};

use store::gc::{Quota, plan_eviction};
use store::{Image, Store};

use super::ServedLayers;
use crate::error::Error;

/// Between two looks when nothing is known to have changed: others bring content in, too.
const INTERVAL: Duration = Duration::from_secs(600);
/// Until the first look: whoever started the daemon is in a hurry.
const FIRST: Duration = Duration::from_secs(30);
/// Until a look after an image was detached: verbs often come one after another, and each should find the daemon that the
/// one before it found.
const SETTLED: Duration = Duration::from_secs(2);
/// A look takes no more than this part of the time.
const SHARE: u32 = 20;
/// What has come since the last look must be this part of the room to be worth another one.
const PART: u64 = 32;

/// How much room the content of files may take.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Most bytes of the disk.
    pub len: u64,
    /// Tells whether the content of an image can be fetched again.
    pub is_refetchable: fn(&Image) -> bool,
}

impl Room {
    /// Says what may go of a store.
    pub fn quota<'a>(&self, served: &'a ServedLayers) -> Quota<'a> {
        Quota {
            len: self.len,
            is_refetchable: self.is_refetchable,
            served: &served.attached,
            remembered: &served.remembered,
        }
    }

    /// Tells whether content takes more room than it may, and some of it can go.
    pub(super) fn can_be_made(&self, store: &Store) -> Result<bool, Error> {
        let served = ServedLayers::of(store.path())?;
        Ok(plan_eviction(store, &self.quota(&served))?.summary().contents > 0)
    }
}

/// Decides when to look.
#[derive(Debug)]
pub(super) struct Watch {
    len: u64,
    /// Not before, whatever happens.
    earliest: Instant,
    /// Then, even if nothing happens.
    latest: Instant,
    /// What had been fetched at the last look.
    fetched_len: u64,
}

impl Watch {
    /// Starts to watch over so much room.
    pub(super) fn new(len: u64, now: Instant) -> Self {
        Self { len, earliest: now, latest: now + FIRST, fetched_len: 0 }
    }

    /// Takes note that an image is not served any more.
    pub(super) fn detached(&mut self, now: Instant) {
        self.latest = self.latest.min(now + SETTLED);
    }

    /// Tells whether it is time to look, when so much has been fetched.
    pub(super) fn is_due(&self, now: Instant, fetched_len: u64) -> bool {
        let has_come = fetched_len.saturating_sub(self.fetched_len);
        now >= self.earliest && (now >= self.latest || has_come > self.len / PART)
    }

    /// Takes note of a look.
    pub(super) fn looked(&mut self, start: Instant, end: Instant, fetched_len: u64) {
        self.earliest = end + (end - start) * SHARE;
        self.latest = self.earliest.max(end + INTERVAL);
        self.fetched_len = fetched_len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_come_when_something_changed_and_now_and_then() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut watch = Watch::new(3200, start);
        assert!(!watch.is_due(at(1), 100) && watch.is_due(at(1), 101) && watch.is_due(at(30), 0));
        watch.looked(at(2), at(3), 101);
        // It took a second, so it is not done again for twenty.
        assert!(!watch.is_due(at(22), 1000) && watch.is_due(at(23), 202) && !watch.is_due(at(23), 201));
        assert!(!watch.is_due(at(602), 101) && watch.is_due(at(603), 101));
        watch.detached(at(30));
        assert!(!watch.is_due(at(31), 101) && watch.is_due(at(32), 101));
    }
}
