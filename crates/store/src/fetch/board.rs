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
    held: usize,
    proof_waits: bool,
    /// The proof has ended, and takes nothing more.
    ended: bool,
    /// Nothing more will come.
    failed: bool,
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
        while !state.ended
            && !state.proof_waits
            && state.held.saturating_add(len) > self.memory
            && state.held > 0
        {
            state = self.wait(state);
        }
        if state.ended {
            return Err(Failure::Stopped);
        }
        let fits = state.held.saturating_add(len) <= self.memory || state.held == 0;
        let decoded = Arc::new(decoded);
        for (id, range) in frames {
            let left = if fits {
                state.held = state.held.saturating_add(range.len());
                Left::Bytes(Stretch { decoded: Arc::clone(&decoded), range })
            } else {
                Left::Stored
            };
            state.frames.insert(id, left);
        }
        self.changed.notify_all();
        Ok(())
    }

    /// Says that a frame's content is in the store.
    pub(super) fn stored(&self, id: FrameId) {
        self.lock().frames.insert(id, Left::Stored);
        self.changed.notify_all();
    }

    /// Waits for a frame's content: its bytes, or `None` when they are in the store.
    pub(super) fn take(&self, id: FrameId) -> Result<Option<Stretch>, Failure> {
        let mut state = self.lock();
        loop {
            if let Some(left) = state.frames.remove(&id) {
                return Ok(match left {
                    Left::Stored => None,
                    Left::Bytes(stretch) => {
                        state.held = state.held.saturating_sub(stretch.range.len());
                        self.changed.notify_all();
                        Some(stretch)
                    }
                });
            }
            if state.failed {
                return Err(Failure::Stopped);
            }
            state.proof_waits = true;
            self.changed.notify_all();
            state = self.wait(state);
            state.proof_waits = false;
        }
    }

    /// Says that nothing more will come.
    pub(super) fn fail(&self) {
        self.lock().failed = true;
        self.changed.notify_all();
    }

    /// Says that the proof has ended; after a failure, nobody needs to go on.
    pub(super) fn end(&self, failed: bool) {
        self.lock().ended = failed;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'g>(&self, state: MutexGuard<'g, State>) -> MutexGuard<'g, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}
