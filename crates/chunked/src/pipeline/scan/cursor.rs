//! The tar as the scanner sees it.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use super::{Flow, Stop};
use crate::pipeline::serial::Serial;
use crate::pipeline::slab::{SLAB_LEN, Slab, Stretch};

/// What the intake says: the next slab, or that the tar ended. A channel that closes without it means failure.
pub(in crate::pipeline) enum Intake {
    Slab(Arc<Slab>),
    End,
}

/// The tar, read ahead as far as a decision needs. What is taken is hashed, once.
pub(super) struct Cursor<'s> {
    slabs: Receiver<Intake>,
    serial: Sender<Serial<'s>>,
    pub(super) buffered: Stretch,
    /// Bytes that were taken and are yet to be hashed.
    taken: Stretch,
    /// Bytes taken so far.
    pub(super) offset: u64,
    ended: bool,
}

impl<'s> Cursor<'s> {
    pub(super) fn new(slabs: Receiver<Intake>, serial: Sender<Serial<'s>>) -> Self {
        let (buffered, taken) = (Stretch::default(), Stretch::default());
        Self { slabs, serial, buffered, taken, offset: 0, ended: false }
    }

    /// Reads ahead until `len` bytes are buffered or the tar ends, and returns how many of them there are.
    pub(super) fn fill(&mut self, len: usize) -> Flow<usize> {
        while self.buffered.len() < len && !self.ended {
            self.flush()?;
            match self.slabs.recv().map_err(|_| Stop::OtherStage)? {
                Intake::Slab(slab) => self.buffered.push_slab(slab),
                Intake::End => self.ended = true,
            }
        }
        Ok(self.buffered.len().min(len))
    }

    /// Takes the first `len` bytes, or all that have been read ahead.
    pub(super) fn take(&mut self, len: usize) -> Flow<Stretch> {
        let bytes = self.advance(len);
        self.taken.append(&bytes);
        if self.taken.len() >= SLAB_LEN / 4 {
            self.flush()?;
        }
        Ok(bytes)
    }

    /// Takes bytes that are content of the file that was opened with [`send`](Self::send).
    pub(super) fn take_content(&mut self, len: usize) -> Flow<Stretch> {
        let bytes = self.advance(len);
        self.send(Serial::Content(bytes.clone()))?;
        Ok(bytes)
    }

    /// Sends something to be done after what was taken.
    pub(super) fn send(&mut self, next: Serial<'s>) -> Flow<()> {
        self.flush()?;
        self.serial.send(next).map_err(|_| Stop::OtherStage)
    }

    fn advance(&mut self, len: usize) -> Stretch {
        let bytes = self.buffered.take(len);
        self.offset = self.offset.saturating_add(bytes.len() as u64);
        bytes
    }

    /// Sends what was taken to be hashed: many small pieces at once, but before waiting for anything.
    pub(super) fn flush(&mut self) -> Flow<()> {
        if self.taken.is_empty() {
            return Ok(());
        }
        let taken = std::mem::take(&mut self.taken);
        self.serial.send(Serial::Tar(taken)).map_err(|_| Stop::OtherStage)
    }
}
