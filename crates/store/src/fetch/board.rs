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
    pieces: HashMap<FrameId, Came>,
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

/// Content that is in the store by now.
#[derive(Debug)]
pub(super) struct Came {
    /// Whether it is a whole content, which is an object, and not a chunk in a partial.
    pub(super) is_object: bool,
    /// Its bytes; `None` when they are in the store only.
    pub(super) stretch: Option<Stretch>,
}

/// Content that came with other content.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    /// The chunk that it is, or that it begins with.
    pub(super) id: FrameId,
    /// Where it is in what was decoded together.
    pub(super) span: Range<usize>,
    /// Whether it is a whole content, which is an object, and not a chunk in a partial.
    pub(super) is_object: bool,
}

/// Content within what was decoded together.
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

    /// Leaves what is in the store by now. Fails when nobody will take it.
    pub(super) fn offer(&self, pieces: Vec<Piece>, decoded: Decoded) -> Result<(), Failure> {
        let len = decoded.bytes.len();
        let mut state = self.lock();
        while !state.proof_ended && !state.proof_waits && !self.has_room(&state, len) {
            state = self.wait(state);
        }
        if state.proof_ended {
            return Err(Failure::Stopped);
        }
        let decoded = (self.has_room(&state, len) && !pieces.is_empty()).then(|| Arc::new(decoded));
        if decoded.is_some() {
            state.held = state.held.saturating_add(len);
        }
        state.pieces.extend(pieces.into_iter().map(|Piece { id, span: range, is_object }| {
            let stretch = decoded.clone().map(|decoded| Stretch { decoded, range });
            (id, Came { is_object, stretch })
        }));
        self.changed.notify_all();
        Ok(())
    }

    /// Says that a chunk is in a partial, or that the content that begins with it is an object. Fails when nobody will take
    /// it.
    pub(super) fn stored(&self, id: FrameId, is_object: bool) -> Result<(), Failure> {
        let mut state = self.lock();
        if state.proof_ended {
            return Err(Failure::Stopped);
        }
        state.pieces.insert(id, Came { is_object, stretch: None });
        self.changed.notify_all();
        Ok(())
    }

    /// Waits for a chunk, or for the content that begins with it.
    pub(super) fn take(&self, id: FrameId) -> Result<Came, Failure> {
        let mut state = self.lock();
        loop {
            match state.pieces.remove(&id) {
                Some(came) => {
                    // The memory is free once the last of what was decoded together is gone.
                    if let Some(stretch) = &came.stretch
                        && Arc::strong_count(&stretch.decoded) == 1
                    {
                        state.held = state.held.saturating_sub(stretch.decoded.bytes.len());
                        self.changed.notify_all();
                    }
                    return Ok(came);
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
