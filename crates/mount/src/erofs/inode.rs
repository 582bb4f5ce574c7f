//! One inode: how long it is, and its bytes.

use store::tree::{Device, Kind, Node, NodeId, Tree};

use super::blocks::{BLOCK_LEN, blocks};
use super::directory;
use super::xattrs::{Shared, Xattrs};

/// Bytes of an inode, without what follows it.
const CORE_LEN: u64 = 64;
/// Most blocks of a chunk: 5 bits hold the logarithm.
const CHUNK_BITS_MAX: u32 = 31;
/// Stands for a chunk that is a hole.
const HOLE: u32 = u32::MAX;

/// An inode, and where its data is.
#[derive(Debug)]
pub(super) struct Inode<'t> {
    node: &'t Node,
    xattrs: Xattrs<'t>,
    data: Data,
}

/// The data of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Data {
    /// There is none.
    None,
    /// Bytes in blocks of their own; those of the last one follow the inode if that is what it says.
    Bytes { len: u64, is_inline: bool },
    /// Holes that stand for content which is elsewhere.
    Holes { len: u64 },
}

/// What only the whole image tells of an inode.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context {
    /// Which inode it is, from 1.
    pub(super) index: u32,
    /// The first of its own blocks.
    pub(super) first_block: u32,
    /// How many names lead to it.
    pub(super) links: u32,
}

impl<'t> Inode<'t> {
    /// Makes the inode of a node; `None` when it has too many attributes.
    pub(super) fn of(tree: &'t Tree, id: NodeId, shared: &Shared<'t>) -> Option<Self> {
        let node = tree.node(id);
        let xattrs = shared.split(node)?;
        // What follows must not cross the end of a block, and may start right after one.
        let room = BLOCK_LEN - (CORE_LEN + xattrs.len()) % BLOCK_LEN;
        let fits = |tail: u64| tail > 0 && tail <= room;
        let bytes = |len: u64| Data::Bytes { len, is_inline: fits(len % BLOCK_LEN) };
        let data = match &node.kind {
            Kind::Directory(_) => bytes(directory::len(&directory::entries(tree, id))),
            Kind::Symlink(target) => bytes(target.len() as u64),
            Kind::File(Some(content)) => Data::Holes { len: content.len },
            _ => Data::None,
        };
        Some(Self { node, xattrs, data })
    }

    /// Bytes of it before its data.
    pub(super) fn head_len(&self) -> u64 {
        CORE_LEN + self.xattrs.len()
    }

    /// Bytes of data that follow it.
    pub(super) fn tail_len(&self) -> u64 {
        match self.data {
            Data::Bytes { len, is_inline: true } => len % BLOCK_LEN,
            Data::Holes { len } => 4 * len.div_ceil(chunk_len(len)),
            _ => 0,
        }
    }

    /// Tells whether its tail has to lie in one block.
    pub(super) fn is_inline(&self) -> bool {
        matches!(self.data, Data::Bytes { is_inline: true, .. })
    }

    /// Counts its own blocks.
    pub(super) fn blocks(&self) -> u64 {
        match self.data {
            Data::Bytes { len, is_inline: true } => len / BLOCK_LEN,
            Data::Bytes { len, is_inline: false } => blocks(len),
            _ => 0,
        }
    }

    /// Adds its bytes, all but inline data.
    pub(super) fn encode(&self, context: &Context, out: &mut Vec<u8>) {
        let metadata = &self.node.metadata;
        let (layout, size, specific) = self.layout(context.first_block);
        out.extend((1 | layout << 1).to_le_bytes());
        out.extend(self.xattrs.count().to_le_bytes());
        out.extend((type_bits(&self.node.kind) | metadata.mode & 0o7777).to_le_bytes());
        out.extend([0; 2]);
        out.extend(size.to_le_bytes());
        out.extend(specific.to_le_bytes());
        out.extend(context.index.to_le_bytes());
        out.extend(metadata.uid.to_le_bytes());
        out.extend(metadata.gid.to_le_bytes());
        out.extend(metadata.modified.seconds.to_le_bytes());
        out.extend(metadata.modified.nanoseconds.to_le_bytes());
        out.extend(context.links.to_le_bytes());
        out.extend([0; 16]);
        self.xattrs.encode(out);
        if let Data::Holes { len } = self.data {
            let chunks = len.div_ceil(chunk_len(len));
            out.extend((0..chunks).flat_map(|_| HOLE.to_le_bytes()));
        }
    }

    /// Returns the layout, the size, and the number whose meaning depends on the layout.
    fn layout(&self, first_block: u32) -> (u16, u64, u32) {
        match (self.data, &self.node.kind) {
            (Data::Bytes { len, is_inline: false }, _) => (0, len, first_block),
            (Data::Bytes { len, is_inline: true }, _) => (2, len, first_block),
            (Data::Holes { len }, _) => (4, len, chunk_bits(len)),
            (Data::None, Kind::CharDevice(device) | Kind::BlockDevice(device)) => (0, 0, number(*device)),
            (Data::None, _) => (0, 0, 0),
        }
    }
}

/// The binary logarithm of the blocks of a chunk, for a file of `len` bytes.
fn chunk_bits(len: u64) -> u32 {
    blocks(len).checked_next_power_of_two().map_or(CHUNK_BITS_MAX, u64::ilog2).min(CHUNK_BITS_MAX)
}

/// Bytes of a chunk, for a file of `len` bytes.
fn chunk_len(len: u64) -> u64 {
    BLOCK_LEN << chunk_bits(len)
}

/// The type of a file as in `st_mode`.
fn type_bits(kind: &Kind) -> u16 {
    match kind {
        Kind::Fifo => 0o010_000,
        Kind::CharDevice(_) => 0o020_000,
        Kind::Directory(_) => 0o040_000,
        Kind::BlockDevice(_) => 0o060_000,
        Kind::File(_) => 0o100_000,
        Kind::Symlink(_) => 0o120_000,
    }
}

/// A device's numbers as one, `new_encode_dev` of Linux.
fn number(device: Device) -> u32 {
    device.minor & 0xff | device.major << 8 | (device.minor & !0xff) << 12
}
