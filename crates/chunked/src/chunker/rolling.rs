//! The rolling sum that splits data.

use super::sys;

/// Bytes the sum looks back (containers/storage, `pkg/chunked/compressor`).
const WINDOW: usize = 64;

/// The sum of each of the last 64 bytes times its place, the newest once and the oldest 64 times.
///
/// The reference keeps 32 bits and adds 31 to every byte; only the low 16 bits decide, and the 31s cancel but for the
/// start value 64 * 63 * 31.
#[derive(Debug, Clone)]
pub(super) struct Rolling {
    /// The bytes that leave the window next, oldest first.
    window: [u8; WINDOW],
    sums: Sums,
}

/// What rolls: both sums modulo 2^16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sums {
    /// Of the bytes in the window.
    pub(super) plain: u16,
    /// Of the bytes times their places. Data splits after a byte that leaves all its bits set.
    pub(super) weighted: u16,
}

impl Default for Rolling {
    fn default() -> Self {
        Self {
            window: [0; WINDOW],
            sums: Sums { plain: 0, weighted: const { (64 * 63 * 31 % 65536) as u16 } },
        }
    }
}

impl Rolling {
    /// Rolls over `bytes` and reports after how many of them each split lies.
    pub(super) fn roll(&mut self, bytes: &[u8], mut split: impl FnMut(usize)) {
        let (head, tail) = bytes.split_at(bytes.len().min(WINDOW));
        self.sums.advance(head, &self.window, &mut split);
        let tail_split = |at: usize| split(at.saturating_add(WINDOW));
        match sys::Wide::detect() {
            Some(wide) => self.sums.advance_wide(wide, tail, bytes, tail_split),
            None => self.sums.advance(tail, bytes, tail_split),
        }
        self.window.rotate_left(head.len());
        let newest = bytes.get(bytes.len().saturating_sub(WINDOW)..).unwrap_or_default();
        if let Some(place) = self.window.get_mut(WINDOW.saturating_sub(newest.len())..) {
            place.copy_from_slice(newest);
        }
    }
}

impl Sums {
    /// Rolls `bytes` in while those of `leaving` roll out.
    pub(super) fn advance(&mut self, bytes: &[u8], leaving: &[u8], mut split: impl FnMut(usize)) {
        // In locals the sums stay in registers, whatever `split` does.
        let Self { mut plain, mut weighted } = *self;
        for (at, (new, old)) in bytes.iter().zip(leaving).enumerate() {
            let (new, old) = (u16::from(*new), u16::from(*old));
            plain = plain.wrapping_add(new).wrapping_sub(old);
            weighted = weighted.wrapping_add(plain).wrapping_sub(old << 6);
            if weighted == u16::MAX {
                split(at.saturating_add(1));
            }
        }
        *self = Self { plain, weighted };
    }

    fn advance_wide(&mut self, wide: sys::Wide, bytes: &[u8], leaving: &[u8], mut split: impl FnMut(usize)) {
        let (blocks, rest) = bytes.as_chunks();
        let (leaving_blocks, _) = leaving.as_chunks();
        wide.advance(self, blocks, leaving_blocks, &mut split);
        let done = bytes.len().saturating_sub(rest.len());
        let leaving = leaving.get(done..).unwrap_or_default();
        self.advance(rest, leaving, |at| split(at.saturating_add(done)));
    }
}
