//! The numbers by which the kernel knows files and directories: whoever takes over can tell what they are.

use chunked::ContentDigest;

use super::wire::ROOT;
use crate::contents::Node;

/// A file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The root.
    Root,
    /// The directory of the digests that begin with a byte.
    Fan(u8),
    /// A content.
    File(Node),
}

/// Numbers from here on are those of the 256 directories.
const FANS: u64 = 0x100;

impl Place {
    pub(super) fn of(number: u64) -> Option<Self> {
        let (high, low) = ((number >> 32) as u32, number as u32);
        match high.checked_sub(1) {
            Some(table) => Some(Self::File(Node { table, row: low })),
            None if number == ROOT => Some(Self::Root),
            None => number.checked_sub(FANS).and_then(|first| u8::try_from(first).ok()).map(Self::Fan),
        }
    }

    pub(super) fn number(self) -> u64 {
        match self {
            Self::Root => ROOT,
            Self::Fan(first) => FANS | u64::from(first),
            Self::File(Node { table, row }) => (u64::from(table).saturating_add(1)) << 32 | u64::from(row),
        }
    }
}

/// Reads the name of one of the 256 directories.
pub(super) fn fan_named(name: &[u8]) -> Option<u8> {
    let [high, low] = *name else { return None };
    Some(digit(high)? << 4 | digit(low)?)
}

/// Reads the name of a content.
pub(super) fn content_named(first: u8, name: &[u8]) -> Option<ContentDigest> {
    let (pairs, rest) = name.as_chunks::<2>();
    let mut digest = [first; 32];
    if pairs.len() != 31 || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().skip(1).zip(pairs) {
        *byte = fan_named(pair)?;
    }
    Some(ContentDigest(digest))
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_has_a_number_of_its_own() {
        let places = [
            Place::Root,
            Place::Fan(0),
            Place::Fan(255),
            Place::File(Node { table: 0, row: 0 }),
            Place::File(Node { table: 3, row: u32::MAX }),
        ];
        let numbers = places.map(Place::number);
        assert!(numbers.is_sorted_by(|one, next| one < next));
        assert_eq!(numbers.map(Place::of), places.map(Some));
        assert_eq!([0, 2, 0x200].map(Place::of), [None; 3]);
    }

    #[test]
    fn names_are_lower_case_hex() {
        let digest = ContentDigest::of(b"content");
        let hex = digest.to_string();
        let hex = hex.strip_prefix("sha256:").unwrap().as_bytes();
        let first = fan_named(&hex[..2]).unwrap();
        assert_eq!(content_named(first, &hex[2..]), Some(digest));
        for name in [&hex[2..63], &hex[1..], b"", b"ZZ", &hex[2..].to_ascii_uppercase()] {
            assert_eq!(content_named(first, name), None);
        }
        assert_eq!(fan_named(b"FF"), None);
    }
}
