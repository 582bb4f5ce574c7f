//! The tree that a tar makes, as far as it takes to know that a puller with a TOC makes the same one.
//!
//! Unpacking a tar member by member lets later members replace, follow or undo earlier ones. A puller with a TOC makes all
//! entries at once, so a layer where the order matters gets no TOC.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use crate::digest::ContentDigest;
use crate::entry::{Entry, EntryKind};
use crate::limits::Limits;
use crate::tar::clean;

/// Marks the removal of what follows it in the name (OCI image layer specification, whiteouts).
const WHITEOUT: &str = ".wh.";

/// Marks a directory as hiding what lies below it.
const OPAQUE: &str = ".wh..wh..opq";

/// Deepest path: far more than any tree has, and few enough that a tar of nothing but deep names stays cheap.
const DEEPEST: usize = 256;

/// Why a member has no place in the tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misplaced {
    /// Its path is there already, as itself, as a whiteout, or as the parent of something.
    #[error("is in the tar twice")]
    Twice,
    /// It lies below something that is no directory.
    #[error("lies below something that is not a directory")]
    BelowFile,
    /// Its name has the element `..`.
    #[error("has `..` in its name")]
    Climbs,
    /// It is the root, or is named as a directory, and is none.
    #[error("is named like a directory and is none")]
    NotDirectory,
    /// It is a whiteout and has content.
    #[error("is a whiteout with content")]
    FullWhiteout,
    /// Its path has too many elements.
    #[error("is more than 256 directories deep")]
    TooDeep,
    /// With it and the directories above it, the tree has too many paths.
    #[error("makes more than {limit} paths, with the directories above all members")]
    TooMany {
        /// The most allowed.
        limit: u64,
    },
}

impl Misplaced {
    /// Tells whether the layer can be unpacked all the same, member by member in the order of the tar.
    pub(super) fn can_unpack(&self) -> bool {
        match self {
            Self::Twice | Self::BelowFile | Self::FullWhiteout | Self::TooDeep => true,
            Self::Climbs | Self::NotDirectory | Self::TooMany { .. } => false,
        }
    }
}

/// What is known of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    /// A directory that has a member.
    Directory,
    /// The parent of a member, without a member so far.
    Parent,
    /// Anything else, or what a whiteout removes.
    Leaf,
}

/// The paths seen so far, hashed: about 35 bytes for each.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: HashMap<[u8; 16], Node>,
    /// Most paths: a member of a few hundred bytes may have 256 directories above it that no other has.
    limit: u64,
}

impl Tree {
    /// Starts with no path.
    pub(super) fn new(limits: &Limits) -> Self {
        Self { nodes: HashMap::new(), limit: limits.entries }
    }

    /// Adds a member.
    pub(super) fn add(&mut self, entry: &Entry) -> Result<(), Misplaced> {
        let is_directory = entry.kind == EntryKind::Directory;
        let name = entry.name.as_str();
        if name.split('/').any(|element| element == "..") {
            return Err(Misplaced::Climbs);
        }
        if !is_directory && (name.ends_with('/') || name.ends_with("/.")) {
            return Err(Misplaced::NotDirectory);
        }
        let path = String::from_utf8(clean(format!("/{name}").as_bytes())).unwrap_or_default();
        let (parent, base) = path.rsplit_once('/').unwrap_or(("", &path));
        if base.is_empty() {
            return if is_directory {
                self.place(b"/", Node::Directory)
            } else {
                Err(Misplaced::NotDirectory)
            };
        }
        if path.bytes().filter(|byte| *byte == b'/').count() > DEEPEST {
            return Err(Misplaced::TooDeep);
        }
        self.parents(parent)?;
        match base.strip_prefix(WHITEOUT) {
            Some(removed) if base != OPAQUE => {
                if entry.size > 0 {
                    return Err(Misplaced::FullWhiteout);
                }
                self.place(format!("{parent}/{removed}").as_bytes(), Node::Leaf)
            }
            _ => self.place(path.as_bytes(), if is_directory { Node::Directory } else { Node::Leaf }),
        }
    }

    /// Notes that `path` and all above it are directories, up to the first that is known.
    fn parents(&mut self, mut path: &str) -> Result<(), Misplaced> {
        while !path.is_empty() {
            let is_full = self.nodes.len() as u64 >= self.limit;
            match self.nodes.entry(hash(path.as_bytes())) {
                Slot::Occupied(slot) if *slot.get() == Node::Leaf => return Err(Misplaced::BelowFile),
                Slot::Occupied(_) => return Ok(()),
                Slot::Vacant(_) if is_full => return Err(Misplaced::TooMany { limit: self.limit }),
                Slot::Vacant(slot) => slot.insert(Node::Parent),
            };
            path = path.rsplit_once('/').map_or("", |(above, _)| above);
        }
        Ok(())
    }

    fn place(&mut self, path: &[u8], node: Node) -> Result<(), Misplaced> {
        match (self.nodes.insert(hash(path), node), node) {
            (None, _) if self.nodes.len() as u64 > self.limit => {
                Err(Misplaced::TooMany { limit: self.limit })
            }
            (None, _) | (Some(Node::Parent), Node::Directory) => Ok(()),
            _ => Err(Misplaced::Twice),
        }
    }
}

fn hash(path: &[u8]) -> [u8; 16] {
    let ContentDigest(digest) = ContentDigest::of(path);
    let mut half = [0; 16];
    half.copy_from_slice(digest.split_at(16).0);
    half
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(members: &[(EntryKind, &str)]) -> Result<(), Misplaced> {
        let mut tree = Tree::new(&Limits::default());
        members.iter().try_for_each(|(kind, name)| tree.add(&Entry::new(*kind, *name)))
    }

    #[test]
    fn trees_that_any_order_makes_are_fine() {
        use EntryKind::{Directory, Hardlink, Regular, Symlink};
        assert_eq!(add(&[(Directory, "./"), (Directory, "a/"), (Regular, "a/b"), (Symlink, "l")]), Ok(()));
        assert_eq!(
            add(&[(Regular, "a/b/c"), (Directory, "a"), (Directory, "a/b/"), (Hardlink, "h")]),
            Ok(())
        );
        assert_eq!(add(&[(Regular, "d/.wh.x"), (Regular, "d/.wh..wh..opq"), (Regular, "d/y")]), Ok(()));
    }

    #[test]
    fn trees_where_the_order_matters_are_not() {
        use EntryKind::{Directory, Regular, Symlink};
        let cases: [(&[_], _); 12] = [
            (&[(Regular, "a"), (Regular, "./a")], Misplaced::Twice),
            (&[(Regular, "a"), (Regular, "/a")], Misplaced::Twice),
            (&[(Directory, "a"), (Directory, "a/")], Misplaced::Twice),
            (&[(Regular, "d/.wh.f"), (Regular, "d/f")], Misplaced::Twice),
            (&[(Regular, "d/f"), (Symlink, "d")], Misplaced::Twice),
            (&[(Symlink, "l"), (Regular, "l/f")], Misplaced::BelowFile),
            (&[(Regular, ".wh.d"), (Regular, "d/f")], Misplaced::BelowFile),
            (&[(Regular, "a/../b")], Misplaced::Climbs),
            (&[(Regular, "../b")], Misplaced::Climbs),
            (&[(Regular, "r/")], Misplaced::NotDirectory),
            (&[(Symlink, ".")], Misplaced::NotDirectory),
            (&[(Directory, "./"), (Directory, "/")], Misplaced::Twice),
        ];
        for (members, expected) in cases {
            assert_eq!(add(members), Err(expected), "{members:?}");
        }
        let mut full = Entry::new(Regular, "d/.wh.f");
        full.size = 1;
        assert_eq!(Tree::new(&Limits::default()).add(&full), Err(Misplaced::FullWhiteout));
        assert_eq!(add(&[(Regular, &format!("{}f", "d/".repeat(300)))]), Err(Misplaced::TooDeep));
    }

    #[test]
    fn directories_that_only_names_make_count_as_well() {
        let mut tree = Tree::new(&Limits { entries: 7, ..Limits::default() });
        let mut add = |name: &str| tree.add(&Entry::new(EntryKind::Regular, name));
        assert_eq!(add("a/b/c/1"), Ok(()));
        assert_eq!(add("a/b/2"), Ok(()));
        assert_eq!(add("d/e/f/g/h/3"), Err(Misplaced::TooMany { limit: 7 }));
        assert_eq!(add("a/4"), Err(Misplaced::TooMany { limit: 7 }));
        assert!(tree.nodes.len() <= 8, "{}", tree.nodes.len());
    }
}
