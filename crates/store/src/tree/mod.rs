//! The merged tree of a chain of layers: what a container sees as its root file system.
//!
//! [`Builder`] applies the TOCs of the chain, lowest first, and [`Tree`] is what comes out: nodes with their final
//! metadata, and the names that lead to them. It is about trees only; writing them, as files or as a file system image, is
//! for others.
//!
//! Layers are applied as the OCI image specification has it. Where that is silent, engines decide:
//!
//! - A symbolic link of the same layer is followed beneath the root when a name leads through it, as podman 5.8 and umoci
//!   0.6 do. One of a lower layer is replaced by a directory, as podman and all who stack layers with overlayfs do.
//! - A whiteout or an opaque mark hides what lower layers have, never what its own layer has, whatever their order.
//! - The metadata of a hard link's entry becomes that of the file, as podman has it. Its target may be in a lower layer.
//! - A directory without an entry in an upper layer keeps the metadata of the lower one; without any it is 0755, of root,
//!   from 1970.

mod builder;
mod diff;
mod draft;
mod entry;
mod freeze;
mod invalid;
mod path;

use chunked::{ContentDigest, Timestamp};

pub use builder::{Builder, Limits};
pub use diff::{Diffs, Marks};
pub use invalid::{Invalid, Problem};

/// Points at a node of one [`Tree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

impl NodeId {
    /// Returns its number; they go from 0 up.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Points at a name of one [`Tree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameId(u32);

/// A merged tree. Takes about 150 bytes for each file.
///
/// Nodes are numbered from the root down, level by level, each directory's in the order of their names; so the same layers
/// always give the same numbers, and a directory has a lower number than what it holds.
#[derive(Debug, Clone)]
pub struct Tree {
    nodes: Vec<Node>,
    names: Vec<Name>,
    /// All names, one after another.
    text: String,
    dropped: Dropped,
}

/// A file of any type, with all that is known of it but its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Owner, permissions, times, attributes.
    pub metadata: Metadata,
    /// How many names lead to it; 1 for a directory.
    pub links: u32,
    /// The first of its names. The root has none of its own and gets that of its first child, if any.
    first: NameId,
}

/// The type of a node, and what only that type has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory(Children),
    /// A regular file; `None` has no bytes.
    File(Option<FileContent>),
    /// A symbolic link, and where it leads: 1 to 4095 bytes, none of them NUL.
    Symlink(Box<str>),
    /// A character device.
    CharDevice(Device),
    /// A block device.
    BlockDevice(Device),
    /// A named pipe.
    Fifo,
}

/// The names in a directory, which lie side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Children {
    start: u32,
    end: u32,
}

/// The bytes of a regular file, by what they hash to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileContent {
    /// The digest of the whole file.
    pub digest: ContentDigest,
    /// Bytes, at least 1.
    pub len: u64,
}

/// The numbers of a device, as far as Linux has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// Below 4096.
    pub major: u32,
    /// Below 1 048 576.
    pub minor: u32,
}

/// What every type of node has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Permissions, set-user-ID, set-group-ID and sticky bit: at most 07777.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of last modification; 1970 where a layer does not tell.
    pub modified: Timestamp,
    /// Extended attributes, sorted by name, without those of overlayfs.
    pub xattrs: Box<[Xattr]>,
}

/// An extended attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Xattr {
    /// The name with its namespace, as `user.note`.
    pub name: Box<str>,
    /// The value, any bytes.
    pub value: Box<[u8]>,
}

/// A name in a directory.
#[derive(Debug, Clone, Copy)]
struct Name {
    /// Where it starts in the text of all names.
    start: u32,
    /// Bytes, at most 255.
    len: u8,
    directory: NodeId,
    node: NodeId,
}

/// A name in a directory, and the node it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Child<'a> {
    /// Which name of the tree it is.
    pub id: NameId,
    /// The name: 1 to 255 bytes, no `/`, no NUL, not `.` or `..`.
    pub name: &'a str,
    /// The directory it is in.
    pub directory: NodeId,
    /// Where it leads.
    pub node: NodeId,
}

/// Attributes that layers brought and that were left out: they would tell an overlayfs on top what to hide.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dropped {
    /// How many, in all layers, entries that upper layers hide included.
    pub count: u64,
    /// The path and the name of the first ones.
    pub first: Vec<(String, String)>,
}

impl Tree {
    /// The root directory.
    pub const ROOT: NodeId = NodeId(0);

    /// Returns a node.
    ///
    /// # Panics
    /// When `id` is of another, larger tree.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// Counts the nodes; their numbers go from 0 up.
    pub fn node_count(&self) -> u32 {
        self.nodes.len() as u32
    }

    /// Counts the names.
    pub fn name_count(&self) -> u32 {
        self.names.len() as u32
    }

    /// Returns all nodes, directories before what they hold.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (NodeId, &Node)> + DoubleEndedIterator {
        let ids = 0..self.node_count();
        ids.zip(&self.nodes).map(|(id, node)| (NodeId(id), node))
    }

    /// Returns what a directory holds, sorted by the bytes of the names; nothing for any other node.
    pub fn children(&self, directory: NodeId) -> impl ExactSizeIterator<Item = Child<'_>> {
        let Children { start, end } = match self.node(directory).kind {
            Kind::Directory(children) => children,
            _ => Children { start: 0, end: 0 },
        };
        (start..end).map(|id| self.child(NameId(id)))
    }

    /// Returns a name and where it leads.
    ///
    /// # Panics
    /// When `id` is of another, larger tree.
    pub fn child(&self, id: NameId) -> Child<'_> {
        let name = self.names[id.0 as usize];
        Child { id, name: self.text_of(&name), directory: name.directory, node: name.node }
    }

    /// Returns the first name of a node; `None` for the root.
    pub fn first_name(&self, node: NodeId) -> Option<Child<'_>> {
        (node != Self::ROOT).then(|| self.child(self.node(node).first))
    }

    /// Tells whether a name is the first of those that lead to its node. The others are hard links to it.
    pub fn is_first_name(&self, child: &Child<'_>) -> bool {
        self.node(child.node).first == child.id
    }

    /// Returns the directory that a directory is in; that of the root is the root.
    pub fn parent(&self, directory: NodeId) -> NodeId {
        match directory {
            Self::ROOT => Self::ROOT,
            id => self.names[self.node(id).first.0 as usize].directory,
        }
    }

    /// Returns the names from the root down to a node, by its first name; none for the root.
    pub fn path(&self, node: NodeId) -> Vec<&str> {
        match node {
            Self::ROOT => Vec::new(),
            id => self.path_of(self.node(id).first),
        }
    }

    /// Returns the names from the root down to this one.
    pub fn path_of(&self, name: NameId) -> Vec<&str> {
        let mut elements = Vec::new();
        let mut next = Some(name);
        while let Some(id) = next {
            let name = &self.names[id.0 as usize];
            elements.push(self.text_of(name));
            next = (name.directory != Self::ROOT).then(|| self.node(name.directory).first);
        }
        elements.reverse();
        elements
    }

    /// Returns what was left out.
    pub fn dropped(&self) -> &Dropped {
        &self.dropped
    }

    fn text_of(&self, name: &Name) -> &str {
        let start = name.start as usize;
        self.text.get(start..start + usize::from(name.len)).unwrap_or_default()
    }
}

impl Kind {
    /// Tells whether it is a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self, Self::Directory(_))
    }
}

#[cfg(test)]
mod tests;
