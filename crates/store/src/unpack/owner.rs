//! Whose the files are.

use std::str::FromStr;

use super::Refused;
use crate::tree::{Metadata, Tree};

/// Who gets the files of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owners {
    /// Those that the image says. Takes root.
    AsIs,
    /// The one who unpacks.
    Squash,
    /// Others in the place of those that the image says. Takes root.
    Map(IdMap),
}

/// Says which numbers of this machine stand for those of an image, for users and groups alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMap(Vec<IdRange>);

/// As a line of `/proc/PID/uid_map`, user_namespaces(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct IdRange {
    inside: u32,
    outside: u32,
    len: u32,
}

/// Text that is not a map of owners.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected ranges INSIDE:OUTSIDE:COUNT with commas between, such as `0:100000:65536`")]
pub struct InvalidIdMap;

impl Owners {
    /// Returns the user and the group that a file gets, or `None` to leave it to who makes it.
    ///
    /// The outer `None` means that a number is in no range of the map.
    pub(super) fn of(&self, metadata: &Metadata) -> Option<Option<(u32, u32)>> {
        match self {
            Self::Squash => Some(None),
            Self::AsIs => Some(Some((metadata.uid, metadata.gid))),
            Self::Map(map) => Some(Some((map.outside(metadata.uid)?, map.outside(metadata.gid)?))),
        }
    }

    /// Tells whether every file of a tree has an owner.
    pub(super) fn check(&self, tree: &Tree) -> Result<(), Refused> {
        let stranger = tree.nodes().find(|(_, node)| self.of(&node.metadata).is_none());
        stranger.map_or(Ok(()), |(id, node)| {
            let path = format!("/{}", tree.path(id).join("/")).into();
            Err(Refused::Unmapped { path, uid: node.metadata.uid, gid: node.metadata.gid })
        })
    }
}

impl IdMap {
    fn outside(&self, inside: u32) -> Option<u32> {
        self.0.iter().find_map(|range| {
            let offset = inside.checked_sub(range.inside).filter(|offset| *offset < range.len)?;
            range.outside.checked_add(offset)
        })
    }
}

impl FromStr for IdMap {
    type Err = InvalidIdMap;

    /// Parses `INSIDE:OUTSIDE:COUNT[,...]`.
    fn from_str(text: &str) -> Result<Self, InvalidIdMap> {
        text.split(',').map(range).collect::<Option<_>>().map(Self).ok_or(InvalidIdMap)
    }
}

fn range(text: &str) -> Option<IdRange> {
    let mut numbers = text.split(':').map(|number| number.parse().ok());
    let range = IdRange { inside: numbers.next()??, outside: numbers.next()??, len: numbers.next()?? };
    // The largest number is no owner: to chown(2) it means to leave it.
    let fits = |start: u32| start.checked_add(range.len).is_some();
    (numbers.next().is_none() && range.len > 0 && fits(range.inside) && fits(range.outside)).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_looked_up_in_ranges() {
        let map: IdMap = "0:1000:1,1:100000:65536".parse().unwrap();
        for (inside, outside) in
            [(0, Some(1000)), (1, Some(100_000)), (65_536, Some(165_535)), (65_537, None)]
        {
            assert_eq!(map.outside(inside), outside, "{inside}");
        }
    }

    #[test]
    fn maps_have_three_numbers_that_fit() {
        for text in [
            "",
            "0",
            "0:1",
            "0:1:2:3",
            "0:1:0",
            "0:1:x",
            "-1:0:1",
            "4294967295:0:1",
            "0:1:1,",
            "0:4294967290:6",
        ] {
            assert_eq!(text.parse::<IdMap>(), Err(InvalidIdMap), "{text}");
        }
        assert!("0:0:4294967295".parse::<IdMap>().is_ok());
    }
}
