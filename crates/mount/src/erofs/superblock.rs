//! The block with the superblock: see [`super::spec`].

use crc_fast::CrcAlgorithm;

use super::blocks::BLOCK_LEN;

/// Where the superblock starts, in bytes.
const AT: usize = 1024;
/// Where in the superblock its checksum is.
const CHECKSUM_AT: usize = 4;

const MAGIC: u32 = 0xE0F5_E1E2;
const HAS_CHECKSUM: u32 = 1;
const HAS_MODIFICATION_TIMES: u32 = 2;
const HAS_CHUNKED_FILES: u32 = 4;

/// What is different in each image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Superblock {
    /// Number of the root's inode.
    pub(super) root: u16,
    /// Number of inodes.
    pub(super) inodes: u64,
    /// Number of blocks.
    pub(super) blocks: u32,
    /// The block where shared attributes start.
    pub(super) shared_xattrs: u32,
    pub(super) uuid: [u8; 16],
}

impl Superblock {
    /// Returns the first block of the image.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut block = vec![0; BLOCK_LEN as usize];
        let mut put = |at: usize, bytes: &[u8]| {
            block.splice(AT + at..AT + at + bytes.len(), bytes.iter().copied());
        };
        put(0, &MAGIC.to_le_bytes());
        put(8, &(HAS_CHECKSUM | HAS_MODIFICATION_TIMES).to_le_bytes());
        put(12, &[BLOCK_LEN.ilog2() as u8]);
        put(14, &self.root.to_le_bytes());
        put(16, &self.inodes.to_le_bytes());
        put(36, &self.blocks.to_le_bytes());
        put(44, &self.shared_xattrs.to_le_bytes());
        put(48, &self.uuid);
        put(80, &HAS_CHUNKED_FILES.to_le_bytes());
        let checksum = crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, block.get(AT..).unwrap_or_default());
        let checksum = !(checksum as u32);
        block.splice(AT + CHECKSUM_AT..AT + CHECKSUM_AT + 4, checksum.to_le_bytes());
        block
    }
}
