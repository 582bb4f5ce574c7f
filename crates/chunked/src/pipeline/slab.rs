//! The tar in slabs of a megabyte, shared by the stages that read them and used again once none does.

use std::collections::VecDeque;
use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded, select};

/// Bytes of a slab, all full but the last: large enough for gunzip at speed, small enough to stay in a core's cache.
pub(super) const SLAB_LEN: usize = 1 << 20;

/// Hands out a fixed number of slabs, and waits for one to come back when all are out.
pub(super) struct Pool {
    unmade: usize,
    free: Receiver<Vec<u8>>,
    home: Sender<Vec<u8>>,
    alarm: Receiver<()>,
}

impl Pool {
    /// Makes a pool that ends when something comes from `alarm`: slabs may then never come back.
    pub(super) fn new(slabs: usize, alarm: Receiver<()>) -> Self {
        let (home, free) = bounded(slabs);
        Self { unmade: slabs, free, home, alarm }
    }

    /// Takes a slab to be filled; its bytes are those of an earlier use. `None` after an alarm.
    pub(super) fn take(&mut self) -> Option<Slab> {
        if !self.alarm.is_empty() {
            return None;
        }
        let bytes = match self.free.try_recv() {
            Ok(bytes) => bytes,
            Err(_) if self.unmade > 0 => {
                self.unmade -= 1;
                vec![0; SLAB_LEN]
            }
            Err(_) => select! {
                recv(self.free) -> bytes => bytes.ok()?,
                recv(self.alarm) -> _ => return None,
            },
        };
        Some(Slab { bytes, len: 0, home: self.home.clone() })
    }
}

/// A megabyte of tar, or less at its end. Its memory goes back to the pool when the last user drops it.
pub(super) struct Slab {
    bytes: Vec<u8>,
    len: usize,
    home: Sender<Vec<u8>>,
}

impl Slab {
    /// Fills the slab from the start; `fill` returns how many bytes it put there.
    pub(super) fn fill<E>(&mut self, fill: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<usize, E> {
        self.len = fill(&mut self.bytes)?.min(self.bytes.len());
        Ok(self.len)
    }
}

impl Deref for Slab {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        let _ = self.home.try_send(std::mem::take(&mut self.bytes));
    }
}

/// A stretch of one slab.
#[derive(Clone)]
struct Piece {
    slab: Arc<Slab>,
    range: Range<usize>,
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        self.slab.get(self.range.clone()).unwrap_or_default()
    }
}

/// A stretch of the tar, in as many pieces as slabs it lies in. Cloning shares the slabs.
#[derive(Clone, Default)]
pub(super) struct Stretch {
    pieces: VecDeque<Piece>,
    len: usize,
}

impl Stretch {
    /// Makes a stretch of bytes that are in no slab of a pool.
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        let (home, _) = bounded(0);
        let mut stretch = Self::default();
        stretch.push_slab(Arc::new(Slab { len: bytes.len(), bytes, home }));
        stretch
    }

    /// Copies the bytes together where they lie in several slabs.
    pub(super) fn join(&mut self) {
        if self.pieces.len() > 1 {
            *self = Self::of(self.slices().collect::<Vec<_>>().concat());
        }
    }

    /// Returns the bytes of a stretch that has been [joined](Self::join).
    pub(super) fn joined(&self) -> &[u8] {
        self.pieces.front().map(Piece::bytes).unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the bytes in order, a slice for each slab.
    pub(super) fn slices(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces.iter().map(Piece::bytes)
    }

    pub(super) fn push_slab(&mut self, slab: Arc<Slab>) {
        let range = 0..slab.len();
        self.push(Piece { slab, range });
    }

    /// Appends what follows in the tar.
    pub(super) fn append(&mut self, next: &Stretch) {
        for piece in &next.pieces {
            self.push(piece.clone());
        }
    }

    /// Splits off the first `len` bytes, or all there are.
    pub(super) fn take(&mut self, len: usize) -> Stretch {
        let mut taken = Stretch::default();
        while let Some(front) = self.pieces.front_mut() {
            let wanted = len.saturating_sub(taken.len);
            if wanted == 0 {
                break;
            }
            if front.range.len() > wanted {
                let middle = front.range.start.saturating_add(wanted);
                let piece = Piece { slab: Arc::clone(&front.slab), range: front.range.start..middle };
                front.range.start = middle;
                taken.push(piece);
            } else if let Some(piece) = self.pieces.pop_front() {
                taken.push(piece);
            }
        }
        self.len = self.len.saturating_sub(taken.len);
        taken
    }

    /// Returns at least the first `len` bytes in one slice, copied together in `scratch` where they lie in several slabs.
    pub(super) fn front<'s>(&'s self, len: usize, scratch: &'s mut Vec<u8>) -> &'s [u8] {
        match self.pieces.front().map(Piece::bytes) {
            None => &[],
            Some(first) if first.len() >= len || self.pieces.len() == 1 => first,
            Some(_) => {
                scratch.clear();
                for slice in self.slices() {
                    let wanted = len.saturating_sub(scratch.len());
                    scratch.extend_from_slice(slice.get(..wanted).unwrap_or(slice));
                }
                scratch
            }
        }
    }

    /// Returns all bytes in one slice.
    pub(super) fn whole<'s>(&'s self, scratch: &'s mut Vec<u8>) -> &'s [u8] {
        self.front(self.len, scratch)
    }

    fn push(&mut self, piece: Piece) {
        if piece.range.is_empty() {
            return;
        }
        self.len = self.len.saturating_add(piece.range.len());
        match self.pieces.back_mut() {
            Some(last) if Arc::ptr_eq(&last.slab, &piece.slab) && last.range.end == piece.range.start => {
                last.range.end = piece.range.end;
            }
            _ => self.pieces.push_back(piece),
        }
    }
}

impl fmt::Debug for Stretch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stretch({} bytes in {} pieces)", self.len, self.pieces.len())
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::never;

    use super::*;

    fn slab(pool: &mut Pool, bytes: &[u8]) -> Arc<Slab> {
        let mut slab = pool.take().unwrap();
        let copy = |room: &mut [u8]| {
            room[..bytes.len()].copy_from_slice(bytes);
            Ok::<_, ()>(bytes.len())
        };
        slab.fill(copy).unwrap();
        Arc::new(slab)
    }

    #[test]
    fn a_stretch_splits_and_joins_over_slabs() {
        let mut pool = Pool::new(2, never());
        let mut stretch = Stretch::default();
        stretch.push_slab(slab(&mut pool, b"abcd"));
        stretch.push_slab(slab(&mut pool, b"efgh"));
        let mut front = stretch.take(2);
        front.append(&stretch.take(4));
        let mut scratch = Vec::new();
        assert_eq!((front.whole(&mut scratch), front.slices().count()), (b"abcdef".as_slice(), 2));
        assert_eq!(stretch.front(1, &mut scratch), b"gh");
        assert_eq!((stretch.take(9).len(), stretch.is_empty()), (2, true));
    }

    #[test]
    fn slabs_come_home() {
        let mut pool = Pool::new(1, never());
        let first = slab(&mut pool, b"first");
        drop(first);
        assert_eq!(&**slab(&mut pool, b"2nd"), b"2nd");
    }

    #[test]
    fn nobody_waits_for_slabs_after_an_alarm() {
        let (raise, alarm) = bounded(1);
        let mut pool = Pool::new(1, alarm);
        let _out = slab(&mut pool, b"never comes back");
        raise.send(()).unwrap();
        assert!(pool.take().is_none());
    }
}
