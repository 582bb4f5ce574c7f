//! What was at which path.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use crate::digest::ContentDigest;
use crate::entry::Entry;

/// The paths of some layers, with what was there: 56 bytes for each, whatever their length.
///
/// A path of several layers has been all that they say of it. Paths and metadata are compared by 64-bit hashes with a
/// secret key: what depends on them is an explanation, never whether something is fetched.
#[derive(Debug, Clone, Default)]
pub struct Paths {
    rows: BTreeSet<Row>,
    hash: RandomState,
}

/// One thing that a path was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    path: u64,
    content: Option<ContentDigest>,
    times: u64,
    /// Everything else but the path and the content.
    metadata: u64,
}

/// How much of an entry was at its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Likeness {
    /// Nothing was.
    Nothing,
    /// Something with other content.
    Path,
    /// The same content with other metadata.
    Metadata,
    /// The same content with the same metadata but for the times.
    Times,
    /// The same.
    Same,
}

impl Paths {
    /// Adds what an entry says of its path.
    pub fn add(&mut self, entry: &Entry) {
        self.rows.insert(self.row(entry));
    }

    /// Tells whether no path is known.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Compares an entry with what was at its path, and of several things takes the likest.
    pub fn compare(&self, entry: &Entry) -> Likeness {
        let row = self.row(entry);
        let first = Row { content: None, times: 0, metadata: 0, ..row };
        let there = self.rows.range(first..).take_while(|there| there.path == row.path);
        there.map(|there| row.likeness(there)).max().unwrap_or(Likeness::Nothing)
    }

    fn row(&self, entry: &Entry) -> Row {
        let mut path = self.hash.build_hasher();
        let elements = entry.name.split('/').filter(|element| !matches!(*element, "" | "."));
        elements.for_each(|element| element.hash(&mut path));
        let Entry { kind, mode, uid, gid, xattrs, modified, accessed, changed, .. } = entry;
        Row {
            path: path.finish(),
            content: entry.content.as_ref().and_then(|content| content.digest),
            times: self.hash.hash_one((modified, accessed, changed)),
            metadata: self.hash.hash_one((kind, mode, uid, gid, xattrs)),
        }
    }
}

impl Row {
    fn likeness(&self, there: &Self) -> Likeness {
        let same_times = self.times == there.times;
        match (self.content == there.content, self.metadata == there.metadata) {
            (false, _) => Likeness::Path,
            (true, false) => Likeness::Metadata,
            (true, true) if same_times => Likeness::Same,
            (true, true) => Likeness::Times,
        }
    }
}
