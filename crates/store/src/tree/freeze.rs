//! From a draft to a tree that nothing changes any more.

use std::collections::VecDeque;

use super::draft::{Body, Draft, ROOT, Slot};
use super::{Children, Dropped, Kind, Name, NameId, Node, NodeId, Tree};

/// Stands for a node that has no number yet.
const UNNUMBERED: u32 = u32::MAX;

/// Numbers the nodes level by level, and lays the names of each directory side by side.
pub(super) fn freeze(draft: Draft, dropped: Dropped) -> Tree {
    let tree = Tree { nodes: Vec::new(), names: Vec::new(), text: String::new(), dropped };
    let numbers = vec![UNNUMBERED; draft.slots()];
    let mut freezer = Freezer { draft, numbers, directories: VecDeque::new(), tree };
    freezer.number(ROOT, NameId(0));
    while let Some((slot, id)) = freezer.directories.pop_front() {
        freezer.directory(slot, id);
    }
    let mut tree = freezer.tree;
    tree.nodes.shrink_to_fit();
    tree.names.shrink_to_fit();
    tree.text.shrink_to_fit();
    tree
}

struct Freezer {
    draft: Draft,
    /// The number of each slot of the draft.
    numbers: Vec<u32>,
    /// Directories whose names are still to be laid out.
    directories: VecDeque<(Slot, NodeId)>,
    tree: Tree,
}

impl Freezer {
    /// Gives the node of a slot its number, when its first name is met.
    fn number(&mut self, slot: Slot, first: NameId) -> NodeId {
        if let Some(&number) = self.numbers.get(slot as usize).filter(|number| **number != UNNUMBERED) {
            return NodeId(number);
        }
        let id = NodeId(self.tree.node_count());
        self.numbers[slot as usize] = id.0;
        let node = self.draft.node_mut(slot);
        let kind = match &mut node.body {
            Body::Directory(_) => {
                self.directories.push_back((slot, id));
                Kind::Directory(Children { start: 0, end: 0 })
            }
            Body::File(content) => Kind::File(*content),
            Body::Symlink(target) => Kind::Symlink(std::mem::take(target)),
            Body::CharDevice(device) => Kind::CharDevice(*device),
            Body::BlockDevice(device) => Kind::BlockDevice(*device),
            // A slot without a node has no name that leads to it.
            Body::Fifo | Body::Free => Kind::Fifo,
        };
        let links = node.names();
        let metadata = std::mem::replace(&mut node.metadata, super::draft::implied());
        self.tree.nodes.push(Node { kind, metadata, links, first });
        id
    }

    fn directory(&mut self, slot: Slot, id: NodeId) {
        let Body::Directory(directory) = std::mem::replace(&mut self.draft.node_mut(slot).body, Body::Free)
        else {
            return;
        };
        let start = self.tree.name_count();
        for (name, child) in directory.children {
            let node = self.number(child.node, NameId(self.tree.name_count()));
            // Limits keep all names together below 4 GiB, and each below 256 bytes.
            let (at, len) = (self.tree.text.len() as u32, name.len() as u8);
            self.tree.names.push(Name { start: at, len, directory: id, node });
            self.tree.text.push_str(&name);
        }
        let end = self.tree.name_count();
        self.tree.nodes[id.0 as usize].kind = Kind::Directory(Children { start, end });
    }
}
