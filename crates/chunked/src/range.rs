//! Ranges of bytes: in a compressed blob, and in one file's content. The two never mix.

use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! range {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name {
            start: u64,
            end: u64,
        }

        impl $name {
            /// Takes the bytes from `start` up to but not including `end`; `None` when `end` lies before `start`.
            pub fn new(start: u64, end: u64) -> Option<Self> {
                (start <= end).then_some(Self { start, end })
            }

            /// Takes `len` bytes from `start`; `None` when the end does not fit in 64 bits.
            pub fn with_len(start: u64, len: u64) -> Option<Self> {
                start.checked_add(len).map(|end| Self { start, end })
            }

            /// Takes `len` bytes from `start`, or as many as 64 bits can name.
            pub fn saturating(start: u64, len: u64) -> Self {
                Self { start, end: start.saturating_add(len) }
            }

            /// Returns the offset of the first byte.
            pub fn start(&self) -> u64 {
                self.start
            }

            /// Returns the offset after the last byte.
            pub fn end(&self) -> u64 {
                self.end
            }

            /// Counts the bytes.
            pub fn len(&self) -> u64 {
                self.end - self.start
            }

            /// Tells whether there are no bytes.
            pub fn is_empty(&self) -> bool {
                self.start == self.end
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}..{}", self.start, self.end)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

range! {
    /// Bytes of a blob as it is stored, compressed.
    BlobRange
}
range! {
    /// Bytes of one file's content, not compressed.
    FileRange
}

impl Serialize for BlobRange {
    /// Writes first offset and end.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.start, self.end).serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_cannot_end_before_it_starts_or_beyond_64_bits() {
        assert_eq!(BlobRange::new(3, 2), None);
        assert_eq!(FileRange::with_len(u64::MAX, 1), None);
        let range = BlobRange::with_len(8, 4).unwrap();
        assert_eq!((range.start(), range.end(), range.len()), (8, 12, 4));
        assert_eq!(range.to_string(), "8..12");
    }
}
