//! One direction of a connection: the bytes that are on their way.

use std::collections::VecDeque;
use std::time::Instant;

/// Bytes in the order they were taken, each slice with the time at which it arrives.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    slices: VecDeque<Slice>,
    /// Bytes in `slices` that were not delivered.
    len: usize,
    /// Where no more will be taken.
    ended: bool,
    /// When the slice that was taken last arrives; none overtakes another.
    last_due: Option<Instant>,
}

#[derive(Debug)]
struct Slice {
    due: Instant,
    bytes: Vec<u8>,
    delivered: usize,
}

impl Pipe {
    /// Puts bytes on their way.
    pub(crate) fn push(&mut self, bytes: Vec<u8>, due: Instant) {
        let due = self.last_due.map_or(due, |last| last.max(due));
        self.last_due = Some(due);
        self.len = self.len.saturating_add(bytes.len());
        self.slices.push_back(Slice { due, bytes, delivered: 0 });
    }

    /// Takes note that there is no more.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    /// Tells whether more bytes may come.
    pub(crate) fn is_open(&self) -> bool {
        !self.ended
    }

    /// Tells whether everything was delivered, and nothing will follow.
    pub(crate) fn is_done(&self) -> bool {
        self.ended && self.slices.is_empty()
    }

    /// Returns how many bytes are on their way.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns when the next bytes arrive, or arrived.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.slices.front().map(|slice| slice.due)
    }

    /// Returns bytes that have arrived.
    pub(crate) fn arrived(&self, now: Instant) -> Option<&[u8]> {
        let slice = self.slices.front().filter(|slice| slice.due <= now)?;
        slice.bytes.get(slice.delivered..)
    }

    /// Takes note that some of the bytes that have arrived were delivered.
    pub(crate) fn deliver(&mut self, len: usize) {
        self.len = self.len.saturating_sub(len);
        let Some(slice) = self.slices.front_mut() else { return };
        slice.delivered = slice.delivered.saturating_add(len);
        if slice.delivered >= slice.bytes.len() {
            self.slices.pop_front();
        }
    }

    /// Forgets everything: nobody takes it.
    pub(crate) fn abandon(&mut self) {
        (self.slices, self.len, self.ended) = (VecDeque::new(), 0, true);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn bytes_arrive_in_order_and_not_before_their_time() {
        let (mut pipe, now) = (Pipe::default(), Instant::now());
        let later = now + Duration::from_millis(5);
        pipe.push(b"ab".to_vec(), later);
        pipe.push(b"c".to_vec(), now);
        pipe.end();
        assert_eq!((pipe.arrived(now), pipe.due(), pipe.len()), (None, Some(later), 3));
        assert_eq!(pipe.arrived(later), Some(&b"ab"[..]));
        pipe.deliver(1);
        assert_eq!(pipe.arrived(later), Some(&b"b"[..]));
        pipe.deliver(1);
        assert_eq!(pipe.due(), Some(later), "it does not overtake");
        assert!(!pipe.is_done());
        pipe.deliver(1);
        assert!(pipe.is_done() && pipe.len() == 0);
    }
}
