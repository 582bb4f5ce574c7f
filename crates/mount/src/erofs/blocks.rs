//! Arithmetic with blocks. Nothing here overflows: the length of an image is limited long before.

/// Bytes of a block. Linux takes any power of two up to the size of a page.
pub(super) const BLOCK_LEN: u64 = 4096;

/// Returns the next multiple of `unit`, a power of two.
pub(super) fn align(at: u64, unit: u64) -> u64 {
    at.next_multiple_of(unit)
}

/// Counts the blocks that hold `len` bytes.
pub(super) fn blocks(len: u64) -> u64 {
    len.div_ceil(BLOCK_LEN)
}

/// Tells whether `len` bytes from `at` lie in one block.
pub(super) fn is_in_one_block(at: u64, len: u64) -> bool {
    len <= BLOCK_LEN - at % BLOCK_LEN
}
