//! Writes a planned image.

use std::io::{self, Write};

use store::tree::{Kind, NodeId, Tree};

use super::blocks::{BLOCK_LEN, align};
use super::directory::{self, Entry};
use super::image::{Image, SLOT_LEN, inode};
use super::inode::{Context, Inode};
use super::superblock::Superblock;

impl Image<'_> {
    /// Writes the image, from its first byte to its last.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: impl Write) -> io::Result<()> {
        let mut out = Counted { out, at: 0 };
        out.write_all(&self.superblock().encode())?;
        self.write_inodes(&mut out)?;
        out.pad_to(self.shared_start * BLOCK_LEN)?;
        for attribute in self.shared.encode() {
            out.write_all(&attribute)?;
        }
        out.pad_to(self.data_start * BLOCK_LEN)?;
        self.write_data(&mut out)?;
        out.flush()
    }

    fn superblock(&self) -> Superblock {
        // Numbers that fit were checked when the image was planned.
        Superblock {
            root: self.inode_number(Tree::ROOT) as u16,
            inodes: self.tree.node_count().into(),
            blocks: (self.image_len() / BLOCK_LEN) as u32,
            shared_xattrs: self.shared_start as u32,
            uuid: self.options.uuid,
        }
    }

    fn write_inodes(&self, out: &mut Counted<impl Write>) -> io::Result<()> {
        let mut first_block = self.data_start;
        let mut bytes = Vec::new();
        for ((id, node), index) in self.tree.nodes().zip(1..) {
            let inode = self.inode(id)?;
            let links = self.links(id, node);
            bytes.clear();
            inode.encode(&Context { index, first_block: first_block as u32, links }, &mut bytes);
            if inode.is_inline() {
                self.add_tail(id, &mut bytes);
            }
            first_block += inode.blocks();
            out.pad_to(self.inode_number(id) * SLOT_LEN)?;
            out.write_all(&bytes)?;
        }
        Ok(())
    }

    /// Adds what does not fill a block of the data of a directory or a link.
    fn add_tail(&self, id: NodeId, bytes: &mut Vec<u8>) {
        match &self.tree.node(id).kind {
            Kind::Directory(_) => {
                let entries = directory::entries(self.tree, id);
                if let Some(last) = directory::split(&entries).last() {
                    self.encode_entries(last, bytes);
                }
            }
            Kind::Symlink(target) => bytes.extend(target.as_bytes()),
            _ => {}
        }
    }

    fn write_data(&self, out: &mut Counted<impl Write>) -> io::Result<()> {
        let mut bytes = Vec::new();
        for (id, node) in self.tree.nodes() {
            let blocks = match node.kind {
                Kind::Directory(_) | Kind::Symlink(_) => self.inode(id)?.blocks(),
                _ => 0,
            };
            match &node.kind {
                Kind::Directory(_) if blocks > 0 => {
                    let entries = directory::entries(self.tree, id);
                    for block in directory::split(&entries).take(blocks as usize) {
                        bytes.clear();
                        self.encode_entries(block, &mut bytes);
                        out.write_block(&bytes)?;
                    }
                }
                Kind::Symlink(target) if blocks > 0 => out.write_block(target.as_bytes())?,
                _ => {}
            }
        }
        Ok(())
    }

    fn encode_entries(&self, entries: &[Entry<'_>], bytes: &mut Vec<u8>) {
        directory::encode(entries, self.tree, |id| self.inode_number(id), bytes);
    }

    fn inode(&self, id: NodeId) -> io::Result<Inode<'_>> {
        // It was made before, when the image was planned.
        inode(self.tree, id, &self.shared).map_err(io::Error::other)
    }
}

/// Knows how much was written.
struct Counted<W> {
    out: W,
    at: u64,
}

impl<W: Write> Counted<W> {
    /// Writes bytes, and zeros up to the end of the block.
    fn write_block(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)?;
        self.pad_to(align(self.at, BLOCK_LEN))
    }

    /// Writes zeros up to a place that is less than a block, or nothing, away.
    fn pad_to(&mut self, at: u64) -> io::Result<()> {
        const ZEROS: [u8; BLOCK_LEN as usize] = [0; BLOCK_LEN as usize];
        let missing = usize::try_from(at.saturating_sub(self.at)).unwrap_or(usize::MAX);
        self.write_all(ZEROS.get(..missing).unwrap_or(&ZEROS))
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.at += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
