//! Where in a blob its metadata lies.

use crate::frame::SKIPPABLE_HEADER_LEN;
use crate::range::BlobRange;

/// The only type of TOC there is, named by footers and annotations.
pub(crate) const TOC_TYPE: u64 = 1;

/// A compressed JSON document inside a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Located {
    /// The compressed bytes, after the 8-byte header of the skippable frame that holds them.
    pub range: BlobRange,
    /// Bytes of the document when decompressed, as claimed; nothing vouches for the number.
    pub len: u64,
}

/// The place of a TOC, and of the tar-split where a blob has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Location {
    /// The TOC.
    pub toc: Located,
    /// The tar-split; `None` for the dialects that have none.
    pub tar_split: Option<Located>,
}

/// Says that a document is placed where it cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the {what} is placed at bytes {found} of the blob, expected within {room}")]
pub struct Misplaced {
    /// What is placed.
    pub what: &'static str,
    /// Where it is said to be.
    pub found: BlobRange,
    /// Where it could be.
    pub room: BlobRange,
}

impl Located {
    /// Takes the numbers as footers and annotations hold them: offset, compressed length, decompressed length.
    ///
    /// A range beyond 64 bits is cut there; [`Location::check`] refuses it.
    pub(crate) fn from_numbers([offset, blob_len, len]: [u64; 3]) -> Self {
        Self { range: BlobRange::saturating(offset, blob_len), len }
    }
}

impl Location {
    /// Returns the length of the part of the blob that holds the tar: all before the TOC's skippable frame.
    pub fn payload_len(&self) -> u64 {
        self.toc.range.start().saturating_sub(SKIPPABLE_HEADER_LEN)
    }

    /// Returns where the last of the metadata ends.
    pub fn end(&self) -> u64 {
        self.tar_split.unwrap_or(self.toc).range.end()
    }

    /// Checks that TOC and tar-split come in this order, with room for their headers, within the first `end` bytes.
    ///
    /// # Errors
    /// [`Misplaced`] when one does not.
    pub fn check(&self, end: u64) -> Result<(), Misplaced> {
        check_one("TOC", self.toc.range, SKIPPABLE_HEADER_LEN, end)?;
        match self.tar_split {
            Some(tar_split) => {
                let start = self.toc.range.end().saturating_add(SKIPPABLE_HEADER_LEN);
                check_one("tar-split", tar_split.range, start, end)
            }
            None => Ok(()),
        }
    }
}

fn check_one(what: &'static str, found: BlobRange, start: u64, end: u64) -> Result<(), Misplaced> {
    if found.start() >= start && found.end() <= end {
        return Ok(());
    }
    Err(Misplaced { what, found, room: BlobRange::saturating(start, end.saturating_sub(start)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(toc: [u64; 2], tar_split: Option<[u64; 2]>) -> Location {
        let located = |[offset, blob_len]: [u64; 2]| Located::from_numbers([offset, blob_len, 1]);
        Location { toc: located(toc), tar_split: tar_split.map(located) }
    }

    #[test]
    fn metadata_lies_in_order_with_room_for_headers() {
        assert_eq!(location([8, 2], None).check(10), Ok(()));
        assert_eq!(location([8, 2], Some([18, 2])).check(20), Ok(()));
        assert_eq!(location([8, 2], None).payload_len(), 0);
        for (toc, tar_split, end) in [
            ([7, 3], None, 10),
            ([8, 3], None, 10),
            ([u64::MAX, 8], None, 100),
            ([8, u64::MAX], None, 100),
            ([8, 2], Some([17, 3]), 20),
            ([30, 2], Some([8, 2]), 100),
            ([8, 2], Some([18, 3]), 20),
        ] {
            assert!(location(toc, tar_split).check(end).is_err(), "{toc:?} {tar_split:?} {end}");
        }
    }

    #[test]
    fn what_is_misplaced_is_said() {
        let text = |result: Result<(), Misplaced>| result.unwrap_err().to_string();
        insta::assert_snapshot!(text(location([8, 3], None).check(10)), @"the TOC is placed at bytes 8..11 of the blob, expected within 8..10");
        insta::assert_snapshot!(text(location([8, 2], Some([9, 9])).check(10)), @"the tar-split is placed at bytes 9..18 of the blob, expected within 18..18");
    }
}
