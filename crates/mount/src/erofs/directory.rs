//! The blocks of a directory.

use store::tree::{Kind, NodeId, Tree};

use super::blocks::BLOCK_LEN;

/// Bytes of an entry, without the name.
const ENTRY_LEN: u64 = 12;

/// An entry of a directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'t> {
    name: &'t str,
    node: NodeId,
}

impl Entry<'_> {
    fn len(&self) -> u64 {
        ENTRY_LEN + self.name.len() as u64
    }
}

/// Lists a directory as EROFS has it: with itself and its parent, sorted by the bytes of the names.
pub(super) fn entries(tree: &Tree, directory: NodeId) -> Vec<Entry<'_>> {
    let children = tree.children(directory).map(|child| Entry { name: child.name, node: child.node });
    let mut entries: Vec<_> = children.collect();
    for (name, node) in [(".", directory), ("..", tree.parent(directory))] {
        let place = entries.partition_point(|entry| entry.name.as_bytes() < name.as_bytes());
        entries.insert(place, Entry { name, node });
    }
    entries
}

/// Splits the entries of a directory into those of each block.
pub(super) fn split<'e, 't>(mut entries: &'e [Entry<'t>]) -> impl Iterator<Item = &'e [Entry<'t>]> {
    std::iter::from_fn(move || {
        let mut len = 0;
        let fitting = entries.iter().take_while(|entry| {
            len += entry.len();
            len <= BLOCK_LEN
        });
        let (block, rest) = entries.split_at_checked(fitting.count())?;
        entries = rest;
        (!block.is_empty()).then_some(block)
    })
}

/// Counts the bytes of a directory: full blocks, and what the last one holds.
pub(super) fn len(entries: &[Entry<'_>]) -> u64 {
    let (blocks, last) = split(entries).fold((0, 0), |(blocks, _), block| (blocks + 1, block_len(block)));
    match blocks {
        0 => 0,
        blocks => (blocks - 1) * BLOCK_LEN + last,
    }
}

fn block_len(entries: &[Entry<'_>]) -> u64 {
    entries.iter().map(Entry::len).sum()
}

/// Adds the bytes of one block, as many as it needs; `number_of` gives the numbers of inodes.
pub(super) fn encode(
    entries: &[Entry<'_>],
    tree: &Tree,
    number_of: impl Fn(NodeId) -> u64,
    out: &mut Vec<u8>,
) {
    let mut name_at = entries.len() as u64 * ENTRY_LEN;
    for entry in entries {
        out.extend(number_of(entry.node).to_le_bytes());
        out.extend((name_at as u16).to_le_bytes());
        out.extend([type_of(&tree.node(entry.node).kind), 0]);
        name_at += entry.name.len() as u64;
    }
    out.extend(entries.iter().flat_map(|entry| entry.name.bytes()));
}

/// The numbers of `linux/fs_types.h`.
fn type_of(kind: &Kind) -> u8 {
    match kind {
        Kind::File(_) => 1,
        Kind::Directory(_) => 2,
        Kind::CharDevice(_) => 3,
        Kind::BlockDevice(_) => 4,
        Kind::Fifo => 5,
        Kind::Symlink(_) => 7,
    }
}
