//! Contents that several layers of one pull need: the lowest brings them, the others wait.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chunked::ContentDigest;

use super::failure::Failure;
use crate::store::Store;

/// Between two looks at the store. Waiting is rare, and ends early when the layer that is waited for ends.
const INTERVAL: Duration = Duration::from_millis(20);

/// Which layer of a pull brings a content that is not here. A layer only ever waits for a lower one, so that no two wait
/// for each other.
#[derive(Debug, Default)]
pub struct Elsewhere {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    owners: HashMap<ContentDigest, usize>,
    ended: Vec<usize>,
}

impl Elsewhere {
    /// Says that a layer brings these contents.
    pub fn claim(&self, layer: usize, contents: impl IntoIterator<Item = ContentDigest>) {
        let mut state = self.lock();
        for content in contents {
            state.owners.entry(content).or_insert(layer);
        }
    }

    /// Tells whether a layer below `layer` brings a content, and has not ended.
    pub fn is_claimed(&self, layer: usize, content: &ContentDigest) -> bool {
        let state = self.lock();
        state.owners.get(content).is_some_and(|owner| *owner < layer && !state.ended.contains(owner))
    }

    /// Says that a layer ends, whether well or not, when what this returns is dropped.
    pub(crate) fn ending(&self, layer: usize) -> Ending<'_> {
        Ending { elsewhere: self, layer }
    }

    /// Waits until a content is there.
    ///
    /// # Errors
    /// [`Failure::OtherLayer`] when the layer that should bring it ended without; [`Failure::Stopped`] once there is no use
    /// in waiting.
    pub(super) fn wait(
        &self,
        store: &Store,
        content: &ContentDigest,
        is_vain: impl Fn() -> bool,
    ) -> Result<(), Failure> {
        let mut state = self.lock();
        loop {
            let ended = state.owners.get(content).is_none_or(|owner| state.ended.contains(owner));
            if store.objects().len_of(content)?.is_some() {
                return Ok(());
            }
            if ended {
                return Err(Failure::OtherLayer { digest: *content });
            }
            if is_vain() {
                return Err(Failure::Stopped);
            }
            let waited = self.changed.wait_timeout(state, INTERVAL);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A layer that has not ended.
#[derive(Debug)]
pub(crate) struct Ending<'a> {
    elsewhere: &'a Elsewhere,
    layer: usize,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.elsewhere.lock().ended.push(self.layer);
        self.elsewhere.changed.notify_all();
    }
}
