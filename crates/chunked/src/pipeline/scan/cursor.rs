//! The tar as the scanner sees it.

use std::sync::Arc;

use crossbeam_channel::Receiver;

use super::{Flow, Stop};
use crate::pipeline::slab::{Slab, Stretch};

/// What the intake says: the next slab, or that the tar ended. A channel that closes without it means failure.
pub(in crate::pipeline) enum Intake {
    Slab(Arc<Slab>),
    End,
}

/// The tar, read ahead as far as a decision needs.
pub(super) struct Cursor {
    slabs: Receiver<Intake>,
    pub(super) buffered: Stretch,
    /// Bytes taken so far.
    pub(super) offset: u64,
    ended: bool,
}

impl Cursor {
    pub(super) fn new(slabs: Receiver<Intake>) -> Self {
        Self { slabs, buffered: Stretch::default(), offset: 0, ended: false }
    }

    /// Reads ahead until `len` bytes are buffered or the tar ends, and returns how many of them there are.
    pub(super) fn fill(&mut self, len: usize) -> Flow<usize> {
        while self.buffered.len() < len && !self.ended {
            match self.slabs.recv().map_err(|_| Stop::OtherStage)? {
                Intake::Slab(slab) => self.buffered.push_slab(slab),
                Intake::End => self.ended = true,
            }
        }
        Ok(self.buffered.len().min(len))
    }

    /// Takes the first `len` bytes, or all that have been read ahead.
    pub(super) fn take(&mut self, len: usize) -> Stretch {
        let taken = self.buffered.take(len);
        self.offset = self.offset.saturating_add(taken.len() as u64);
        taken
    }
}
