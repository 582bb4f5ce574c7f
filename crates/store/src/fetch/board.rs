//! Where decoders leave contents for the proof.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::failure::Failure;
use super::needs::FrameId;
use super::pool::Decoded;

/// Holds decoded contents, up to a number of bytes, until the proof takes them.
///
/// When there is no room, a decoder waits as long as the proof is at work, and gives the bytes up when the proof itself
/// waits for something else; the proof then reads them from the store.
#[derive(Debug)]
pub(super) struct Board {
    state: Mutex<State>,
    changed: Condvar,
    memory: usize,
}

#[derive(Debug, Default)]
struct State {
    frames: HashMap<FrameId, Left>,
    /// Bytes of everything decoded of which something is left here.
    held: usize,
    proof_waits: bool,
    /// Nothing more will be taken.
    proof_ended: bool,
    coming: Coming,
}

/// What is still to be expected from the decoders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Coming {
    #[default]
    More,
    /// All is here.
    Nothing,
    /// Something is missing, and will not come.
    Failed,
}

/// What is left of a frame on the board.
#[derive(Debug)]
enum Left {
    Bytes(Stretch),
    /// The bytes are in the store only.
    Stored,
}

/// A frame's content within what was decoded together.
#[derive(Debug, Clone)]
pub(super) struct Stretch {
    pub(super) decoded: Arc<Decoded>,
    pub(super) range: Range<usize>,
}

impl Stretch {
    pub(super) fn bytes(&self) -> &[u8] {
        self.decoded.bytes.get(self.range.clone()).unwrap_or_default()
    }
}

impl Board {
    /// Has room for `memory` bytes.
    pub(super) fn new(memory: usize) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), memory }
    }

    /// Leaves the contents of frames that are in the store by now. Fails when nobody will take them.
    pub(super) fn offer(
        &self,
        frames: Vec<(FrameId, Range<usize>)>,
        decoded: Decoded,
    ) -> Result<(), Failure> {
        let len = decoded.bytes.len();
        let mut state = self.lock();
        while !state.proof_ended && !state.proof_waits && !self.has_room(&state, len) {
            state = self.wait(state);
        }
        if state.proof_ended {
            return Err(Failure::Stopped);
        }
        if self.has_room(&state, len) && !frames.is_empty() {
            state.held = state.held.saturating_add(len);
            let decoded = Arc::new(decoded);
            let bytes = |range| Left::Bytes(Stretch { decoded: Arc::clone(&decoded), range });
            state.frames.extend(frames.into_iter().map(|(id, range)| (id, bytes(range))));
        } else {
            state.frames.extend(frames.into_iter().map(|(id, _)| (id, Left::Stored)));
        }
        self.changed.notify_all();
        Ok(())
    }

    /// Says that a frame's content is in the store. Fails when nobody will take it.
    pub(super) fn stored(&self, id: FrameId) -> Result<(), Failure> {
        let mut state = self.lock();
        if state.proof_ended {
            return Err(Failure::Stopped);
        }
        state.frames.insert(id, Left::Stored);
        self.changed.notify_all();
        Ok(())
    }

    /// Waits for a frame's content: its bytes, or `None` when they are in the store.
    pub(super) fn take(&self, id: FrameId) -> Result<Option<Stretch>, Failure> {
        let mut state = self.lock();
        loop {
            match state.frames.remove(&id) {
                Some(Left::Stored) => return Ok(None),
                Some(Left::Bytes(stretch)) => {
                    // The memory is free once the last of what was decoded together is gone.
                    if Arc::strong_count(&stretch.decoded) == 1 {
                        state.held = state.held.saturating_sub(stretch.decoded.bytes.len());
                        self.changed.notify_all();
                    }
                    return Ok(Some(stretch));
                }
                None if state.coming != Coming::More => return Err(Failure::Stopped),
                None => {}
            }
            state.proof_waits = true;
            self.changed.notify_all();
            state = self.wait(state);
            state.proof_waits = false;
        }
    }

    /// Lets the proof wait for something that is not on the board; decoders do not wait for it meanwhile.
    pub(super) fn while_away<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.lock().proof_waits = true;
        self.changed.notify_all();
        let result = wait();
        self.lock().proof_waits = false;
        result
    }

    /// Says that nothing more will come, although something is missing unless `is_all` was brought. The first word counts.
    pub(super) fn close(&self, is_all: bool) {
        let mut state = self.lock();
        if state.coming == Coming::More {
            state.coming = if is_all { Coming::Nothing } else { Coming::Failed };
            self.changed.notify_all();
        }
    }

    /// Tells whether something will not come.
    pub(super) fn has_failed(&self) -> bool {
        self.lock().coming == Coming::Failed
    }

    /// Says that the proof has ended, so that nobody needs to go on.
    pub(super) fn end(&self) {
        self.lock().proof_ended = true;
        self.changed.notify_all();
    }

    /// Even what alone is more than fits has to go somewhere.
    fn has_room(&self, state: &State, len: usize) -> bool {
        state.held == 0 || state.held.saturating_add(len) <= self.memory
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'g>(&self, state: MutexGuard<'g, State>) -> MutexGuard<'g, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}
