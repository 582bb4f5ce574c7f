//! A bucket: the rows whose keys are in one part of all keys. It tells of nearly all keys that are not among the rows that
//! they are not, and of others which row it is.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | how many rows come before those of the bucket; the highest bit is set when it has more than twelve |
//! | 12 | the mark of each row: the last byte of its key |
//!
//! Marks of rows that there are not are 0, as those of others may be.

/// Bytes of a bucket on disk. None is in two lines of memory.
pub(super) const LEN: usize = 16;
/// Rows of a bucket, on average. With random keys, one bucket in a hundred has more than there are marks.
pub(super) const ROWS: u32 = 6;
/// Most rows of a run.
pub(super) const RUN_ROWS_MAX: u32 = HAS_MORE - 1;
const HAS_MORE: u32 = 1 << 31;
/// Marks of a bucket.
const MARKS: u32 = 12;
const MARKS_START: u32 = u32::BITS;

/// A bucket in memory: its bytes, the first one lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bucket(u128);

impl Bucket {
    pub(super) fn decode(bytes: &[u8; LEN]) -> Self {
        Self(u128::from_le_bytes(*bytes))
    }

    pub(super) fn encode(self) -> [u8; LEN] {
        self.0.to_le_bytes()
    }

    /// Makes the bucket of rows with those marks, which come after so many others.
    pub(super) fn new(first: u32, marks: &[u8]) -> Self {
        let more = if marks.len() > MARKS as usize { HAS_MORE } else { 0 };
        let marks = marks.iter().take(MARKS as usize).rev();
        let marks = marks.fold(0, |marks, mark| (marks << u8::BITS) | u128::from(*mark));
        Self((marks << MARKS_START) | u128::from(first | more))
    }

    /// Lists the numbers of the rows that have a mark, and of some others.
    #[inline]
    pub(super) fn marked(self, mark: u8) -> impl Iterator<Item = u32> {
        let first = self.first();
        let mut equal = equal_bytes(self.0, mark) >> MARKS_START;
        std::iter::from_fn(move || {
            let place = (equal != 0).then(|| equal.trailing_zeros() / u8::BITS)?;
            equal &= equal - 1;
            Some(first.saturating_add(place))
        })
    }

    /// Returns the number of the first row that has no mark, if there are any.
    pub(super) fn unmarked(self) -> Option<u32> {
        (self.0 as u32 & HAS_MORE != 0).then(|| self.first().saturating_add(MARKS))
    }

    /// Returns the number of the first row.
    pub(super) fn first(self) -> u32 {
        self.0 as u32 & !HAS_MORE
    }
}

/// Returns which bytes are `byte`: they have their highest bit set, and nothing else is. A processor can do it for the next
/// lookups while it waits for this bucket: it is a few instructions, and no branch.
#[inline]
fn equal_bytes(bytes: u128, byte: u8) -> u128 {
    const LOW: u128 = u128::from_ne_bytes([0x7f; LEN]);
    let different = bytes ^ u128::from_ne_bytes([byte; LEN]);
    !(((different & LOW) + LOW) | different | LOW)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_row_is_found_by_its_mark(first in 0..RUN_ROWS_MAX, marks in proptest::collection::vec(1..4_u8, 0..20)) {
            let bucket = Bucket::decode(&Bucket::new(first, &marks).encode());
            prop_assert_eq!(bucket.first(), first);
            prop_assert_eq!(bucket.unmarked(), (marks.len() > 12).then_some(first + 12));
            for wanted in 1..5 {
                let places = (0..).zip(&marks).take(12).filter(|(_, mark)| **mark == wanted);
                let expected: Vec<_> = places.map(|(place, _)| first + place).collect();
                prop_assert_eq!(bucket.marked(wanted).collect::<Vec<_>>(), expected);
            }
        }

        #[test]
        fn equal_bytes_are_told_from_all_others(bytes: [u8; LEN], byte: u8) {
            let expected = bytes.map(|other| if other == byte { 0x80 } else { 0 });
            prop_assert_eq!(equal_bytes(u128::from_ne_bytes(bytes), byte).to_ne_bytes(), expected);
        }
    }
}
