//! A tree while layers are applied to it: nodes in slots that are used again, names in maps.

use std::collections::BTreeMap;

use chunked::Timestamp;

use super::invalid::Problem;
use super::{Device, FileContent, Metadata};

/// Points at a slot of a [`Draft`].
pub(super) type Slot = u32;

pub(super) const ROOT: Slot = 0;

#[derive(Debug, Clone)]
pub(super) struct Draft {
    nodes: Vec<Node>,
    /// Slots whose node has lost its last name.
    free: Vec<Slot>,
    /// Names of all nodes together.
    names: u32,
    limit: u32,
}

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) body: Body,
    pub(super) metadata: Metadata,
    /// Names that lead here; 1 for the root.
    names: u32,
}

#[derive(Debug, Clone)]
pub(super) enum Body {
    Directory(Directory),
    File(Option<FileContent>),
    Symlink(Box<str>),
    CharDevice(Device),
    BlockDevice(Device),
    Fifo,
    /// No node.
    Free,
}

#[derive(Debug, Clone)]
pub(super) struct Directory {
    pub(super) children: BTreeMap<Box<str>, Child>,
    /// The directory it is in; of the root, the root.
    pub(super) parent: Slot,
    /// Elements of its path.
    pub(super) depth: u16,
    /// The last layer that hid all that was here before it.
    cleared: u32,
}

/// Where a name leads, and which layer says so.
#[derive(Debug, Clone, Copy)]
pub(super) struct Child {
    pub(super) node: Slot,
    pub(super) layer: u32,
}

impl Draft {
    /// Starts with a root directory, and room for `limit` names.
    pub(super) fn new(limit: u32) -> Self {
        let root = Body::Directory(Directory::new(ROOT, 0));
        Self { nodes: vec![Node::new(root, implied(), 1)], free: Vec::new(), names: 0, limit }
    }

    /// Counts slots, used and free.
    pub(super) fn slots(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn node(&self, slot: Slot) -> &Node {
        &self.nodes[slot as usize]
    }

    pub(super) fn node_mut(&mut self, slot: Slot) -> &mut Node {
        &mut self.nodes[slot as usize]
    }

    pub(super) fn directory(&self, slot: Slot) -> Option<&Directory> {
        match &self.node(slot).body {
            Body::Directory(directory) => Some(directory),
            _ => None,
        }
    }

    fn directory_mut(&mut self, slot: Slot) -> Option<&mut Directory> {
        match &mut self.node_mut(slot).body {
            Body::Directory(directory) => Some(directory),
            _ => None,
        }
    }

    pub(super) fn child(&self, directory: Slot, name: &str) -> Option<Child> {
        self.directory(directory)?.children.get(name).copied()
    }

    pub(super) fn is_directory(&self, slot: Slot) -> bool {
        self.directory(slot).is_some()
    }

    /// Adds a node without a name; [`Draft::name`] gives it one.
    pub(super) fn add(&mut self, body: Body, metadata: Metadata) -> Slot {
        let node = Node::new(body, metadata, 0);
        if let Some(slot) = self.free.pop() {
            *self.node_mut(slot) = node;
            return slot;
        }
        // There are never more nodes than names, but for one.
        let slot = self.nodes.len() as u32;
        self.nodes.push(node);
        slot
    }

    /// Makes a name lead to a node, and no longer to what it led to.
    pub(super) fn name(&mut self, directory: Slot, name: &str, child: Child) -> Result<(), Problem> {
        if self.names >= self.limit {
            return Err(Problem::TooMany { limit: self.limit });
        }
        let node = self.node_mut(child.node);
        node.names = node.names.saturating_add(1);
        self.names = self.names.saturating_add(1);
        let Some(directory) = self.directory_mut(directory) else { return Ok(()) };
        if let Some(replaced) = directory.children.insert(name.into(), child) {
            self.release(replaced.node);
        }
        Ok(())
    }

    /// Notes that `layer` has a name that is there.
    pub(super) fn renew(&mut self, directory: Slot, name: &str, layer: u32) {
        let child = self.directory_mut(directory).and_then(|directory| directory.children.get_mut(name));
        if let Some(child) = child {
            child.layer = layer;
        }
    }

    /// Hides a name of the layers below `layer`. What `layer` itself has there stays.
    pub(super) fn hide(&mut self, directory: Slot, name: &str, layer: u32) {
        let Some(child) = self.child(directory, name) else { return };
        let has_own = self.hide_below(child.node, layer);
        if child.layer == layer {
            return;
        }
        if has_own {
            self.node_mut(child.node).metadata = implied();
            return self.renew(directory, name, layer);
        }
        let children = self.directory_mut(directory).map(|directory| &mut directory.children);
        if children.is_some_and(|children| children.remove(name).is_some()) {
            self.release(child.node);
        }
    }

    /// Hides what the layers below `layer` have in a directory; tells whether `layer` has anything there.
    ///
    /// All that is added to the directory while `layer` is applied is of `layer`, so this is done once.
    pub(super) fn hide_below(&mut self, slot: Slot, layer: u32) -> bool {
        let Some(directory) = self.directory_mut(slot) else { return false };
        if directory.cleared != layer {
            directory.cleared = layer;
            let names: Vec<_> = directory.children.keys().cloned().collect();
            names.iter().for_each(|name| self.hide(slot, name, layer));
        }
        self.directory(slot).is_some_and(|directory| !directory.children.is_empty())
    }

    /// Takes a name away from a node; the last one takes all that is beneath it along.
    fn release(&mut self, slot: Slot) {
        let mut released = vec![slot];
        while let Some(slot) = released.pop() {
            self.names = self.names.saturating_sub(1);
            let node = self.node_mut(slot);
            node.names = node.names.saturating_sub(1);
            if node.names > 0 {
                continue;
            }
            if let Body::Directory(directory) = std::mem::replace(&mut node.body, Body::Free) {
                released.extend(directory.children.into_values().map(|child| child.node));
            }
            self.node_mut(slot).metadata.xattrs = Box::default();
            self.free.push(slot);
        }
    }
}

impl Node {
    fn new(body: Body, metadata: Metadata, names: u32) -> Self {
        Self { body, metadata, names }
    }

    pub(super) fn names(&self) -> u32 {
        self.names
    }
}

impl Directory {
    pub(super) fn new(parent: Slot, depth: u16) -> Self {
        Self { children: BTreeMap::new(), parent, depth, cleared: 0 }
    }
}

/// Returns the metadata of a directory that no layer has an entry for.
pub(super) fn implied() -> Metadata {
    Metadata { mode: 0o755, uid: 0, gid: 0, modified: Timestamp::default(), xattrs: Box::default() }
}
