//! The plan of an image: where everything goes.

use store::tree::{Kind, Node, NodeId, Tree};

use super::blocks::{BLOCK_LEN, align, blocks, is_in_one_block};
use super::inode::Inode;
use super::xattrs::Shared;
use super::{Invalid, Options};

/// Inodes start at multiples of this many bytes, and are numbered by them.
pub(super) const SLOT_LEN: u64 = 32;

/// An image of the metadata of a tree, planned and not written.
#[derive(Debug)]
pub struct Image<'t> {
    pub(super) tree: &'t Tree,
    pub(super) options: Options,
    /// The number of each node's inode.
    pub(super) numbers: Vec<u32>,
    pub(super) shared: Shared<'t>,
    /// The block where shared attributes start.
    pub(super) shared_start: u64,
    /// The block where the blocks of directories and links start.
    pub(super) data_start: u64,
    blocks: u64,
}

impl<'t> Image<'t> {
    /// Gives everything its place.
    ///
    /// # Errors
    /// [`Invalid`] when the tree is too much for an image.
    pub fn plan(tree: &'t Tree, options: Options) -> Result<Self, Invalid> {
        let too_long = || Invalid::TooLong { limit: options.len_limit };
        let shared = Shared::of(tree, options.form);
        let mut numbers = Vec::with_capacity(tree.node_count() as usize);
        let (mut at, mut own_blocks) = (BLOCK_LEN, 0);
        for (id, _) in tree.nodes() {
            let inode = inode(tree, id, &shared)?;
            at = place(at, &inode);
            numbers.push(u32::try_from(at / SLOT_LEN).map_err(|_| too_long())?);
            at += inode.head_len() + inode.tail_len();
            own_blocks += inode.blocks();
            if at + own_blocks * BLOCK_LEN > options.len_limit {
                return Err(too_long());
            }
        }
        let shared_start = blocks(at);
        let data_start = shared_start + blocks(shared.len());
        let blocks = data_start + own_blocks;
        match blocks * BLOCK_LEN <= options.len_limit {
            true => Ok(Self { tree, options, numbers, shared, shared_start, data_start, blocks }),
            false => Err(too_long()),
        }
    }

    /// Returns the length of the image in bytes.
    pub fn image_len(&self) -> u64 {
        self.blocks * BLOCK_LEN
    }

    /// Returns the number of a node's inode, which is its inode number in the mounted tree too.
    pub fn inode_number(&self, id: NodeId) -> u64 {
        self.numbers.get(id.index()).copied().unwrap_or_default().into()
    }

    /// Counts the names of a node as `st_nlink` does.
    pub(super) fn links(&self, id: NodeId, node: &Node) -> u32 {
        match node.kind {
            Kind::Directory(_) => {
                let is_directory = |id: NodeId| self.tree.node(id).kind.is_directory();
                let inner = self.tree.children(id).filter(|child| is_directory(child.node));
                2 + inner.count() as u32
            }
            _ => node.links,
        }
    }
}

/// Makes the inode of a node.
pub(super) fn inode<'t>(tree: &'t Tree, id: NodeId, shared: &Shared<'t>) -> Result<Inode<'t>, Invalid> {
    let too_many = || Invalid::Xattrs { path: format!("/{}", tree.path(id).join("/")) };
    Inode::of(tree, id, shared).ok_or_else(too_many)
}

/// Returns where an inode goes when `at` is the first free byte.
fn place(at: u64, inode: &Inode<'_>) -> u64 {
    let at = align(at, SLOT_LEN);
    let fits = !inode.is_inline() || is_in_one_block(at + inode.head_len(), inode.tail_len());
    if fits { at } else { align(at, BLOCK_LEN) }
}
