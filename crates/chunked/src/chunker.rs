//! Cuts a file's content where its bytes say so, exactly where the reference converter cuts it.
//!
//! A rolling sum over the last 64 bytes splits data after a byte that leaves its low 16 bits all ones, on average every
//! 64 KiB; there is no smallest and no largest chunk. A run of at least 1024 zeros is a hole and a chunk of its own. The
//! sum starts afresh with every file, and goes on over splits and holes. A hole is longer than the window, so after it
//! the sum is where it started: what follows is scanned without looking back.

mod rolling;
mod sys;

use crate::entry::ChunkKind;
use rolling::Rolling;

/// Zeros in a row that make a hole (containers/storage, `pkg/chunked/compressor`).
const HOLE: usize = 1024;

/// The end of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Offset in the file after the chunk's last byte.
    pub end: u64,
    /// What the chunk is.
    pub kind: ChunkKind,
}

/// Cuts one file, which may come in several buffers; the cuts do not depend on how it is buffered.
#[derive(Debug, Clone, Default)]
pub struct Chunker {
    rolling: Rolling,
    /// Where the current chunk starts.
    start: u64,
    /// Bytes given so far.
    scanned: u64,
    /// Zeros that end the bytes given so far and may still become a hole: fewer than [`HOLE`], not rolled yet.
    undecided: usize,
    in_hole: bool,
}

impl Chunker {
    /// Starts a file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns how many of the bytes given last may still turn out to be the start of a hole: fewer than 1024 zeros. No
    /// later cut lies before them.
    pub fn undecided(&self) -> usize {
        self.undecided
    }

    /// Scans the next bytes of the file and adds the cuts they settle.
    pub fn scan(&mut self, bytes: &[u8], cuts: &mut Vec<Cut>) {
        let mut rest = bytes;
        if self.in_hole || self.undecided > 0 {
            rest = self.resume_zeros(rest, cuts);
        }
        while let Some((data, zeros)) = split_at_hole(rest) {
            self.data(data, cuts);
            self.scanned = self.scanned.saturating_add(zeros as u64);
            self.enter_hole(zeros, cuts);
            rest = rest.get(data.len().saturating_add(zeros)..).unwrap_or_default();
            if rest.is_empty() {
                return;
            }
            self.leave_hole(cuts);
        }
        let zeros = trailing_zeros(rest);
        self.data(rest.get(..rest.len().saturating_sub(zeros)).unwrap_or_default(), cuts);
        self.undecided = self.undecided.saturating_add(zeros);
        self.scanned = self.scanned.saturating_add(zeros as u64);
    }

    /// Ends the file and adds the cuts that remain.
    pub fn finish(mut self, cuts: &mut Vec<Cut>) {
        if self.in_hole {
            return self.leave_hole(cuts);
        }
        self.decide_data(cuts);
        if self.start < self.scanned {
            cuts.push(Cut { end: self.scanned, kind: ChunkKind::Data });
        }
    }

    /// Goes on with the zeros that ended the last buffer, and returns what follows them.
    fn resume_zeros<'b>(&mut self, bytes: &'b [u8], cuts: &mut Vec<Cut>) -> &'b [u8] {
        let zeros = leading_zeros(bytes);
        let run = self.undecided.saturating_add(zeros);
        self.scanned = self.scanned.saturating_add(zeros as u64);
        let rest = bytes.get(zeros..).unwrap_or_default();
        if !self.in_hole {
            self.undecided = run;
            if run >= HOLE {
                self.undecided = 0;
                self.enter_hole(run, cuts);
            }
        }
        if !rest.is_empty() {
            if self.in_hole {
                self.leave_hole(cuts);
            } else {
                self.decide_data(cuts);
            }
        }
        rest
    }

    /// Starts the hole made of the last `zeros` bytes scanned.
    fn enter_hole(&mut self, zeros: usize, cuts: &mut Vec<Cut>) {
        let hole = self.scanned.saturating_sub(zeros as u64);
        if self.start < hole {
            cuts.push(Cut { end: hole, kind: ChunkKind::Data });
            self.start = hole;
        }
        self.in_hole = true;
    }

    fn leave_hole(&mut self, cuts: &mut Vec<Cut>) {
        cuts.push(Cut { end: self.scanned, kind: ChunkKind::Zeros });
        self.start = self.scanned;
        self.in_hole = false;
        self.rolling = Rolling::default();
    }

    /// Takes the undecided zeros, fewer than a hole, as the data they turned out to be.
    fn decide_data(&mut self, cuts: &mut Vec<Cut>) {
        let zeros = std::mem::take(&mut self.undecided);
        self.scanned = self.scanned.saturating_sub(zeros as u64);
        self.data([0; HOLE].get(..zeros).unwrap_or_default(), cuts);
    }

    fn data(&mut self, bytes: &[u8], cuts: &mut Vec<Cut>) {
        let base = self.scanned;
        let start = &mut self.start;
        self.rolling.roll(bytes, |len| {
            let end = base.saturating_add(len as u64);
            cuts.push(Cut { end, kind: ChunkKind::Data });
            *start = end;
        });
        self.scanned = base.saturating_add(bytes.len() as u64);
    }
}

/// Cuts a whole file that is at hand.
pub fn cut(content: &[u8], cuts: &mut Vec<Cut>) {
    let mut chunker = Chunker::new();
    chunker.scan(content, cuts);
    chunker.finish(cuts);
}

/// Tells whether content of `len` bytes falls into more chunks than ordinary data ever does, fewer than 256 bytes each:
/// a file of periods made to split at every byte would cost a frame and a row for each.
pub(crate) fn too_small(chunks: usize, len: u64) -> bool {
    chunks > 1024 && len / (chunks as u64) < 256
}

/// Finds the first hole, and returns the data before it and the length of its zeros, which may go on after `bytes`.
///
/// A hole has a zero at every 1024th place, so only these are looked at until one is zero.
fn split_at_hole(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let mut from = 0usize;
    loop {
        let probe = from.checked_add(HOLE - 1)?;
        if *bytes.get(probe)? != 0 {
            from = probe.saturating_add(1);
            continue;
        }
        let before = bytes.get(from..probe)?;
        let start = probe.saturating_sub(trailing_zeros(before));
        let zeros = leading_zeros(bytes.get(start..)?);
        if zeros >= HOLE {
            return Some((bytes.get(..start)?, zeros));
        }
        from = start.saturating_add(zeros);
    }
}

fn leading_zeros(bytes: &[u8]) -> usize {
    let (blocks, _) = bytes.as_chunks::<64>();
    let whole = blocks.iter().take_while(|block| **block == [0; 64]).count().saturating_mul(64);
    let rest = bytes.get(whole..).unwrap_or_default();
    whole.saturating_add(rest.iter().take_while(|byte| **byte == 0).count())
}

fn trailing_zeros(bytes: &[u8]) -> usize {
    bytes.iter().rev().take_while(|byte| **byte == 0).count()
}

#[cfg(test)]
mod tests;
