//! One 512-byte header block.

use super::BLOCK;

/// A header block whose fields are set by their offsets in the format.
pub(super) struct Header {
    block: [u8; BLOCK],
}

impl Header {
    pub(super) fn new() -> Self {
        Self { block: [0; BLOCK] }
    }

    /// Copies as much of `bytes` as the field holds.
    pub(super) fn text(&mut self, at: usize, width: usize, bytes: &[u8]) -> &mut Self {
        let len = bytes.len().min(width);
        self.block[at..at + len].copy_from_slice(&bytes[..len]);
        self
    }

    /// Writes octal digits and a NUL; what does not fit, or is forced, becomes base-256.
    pub(super) fn number(&mut self, at: usize, width: usize, value: i64, base256: bool) -> &mut Self {
        if base256 || !fits_octal(value, width) {
            return self.base256(at, width, value);
        }
        let digits = format!("{value:0>width$o}", width = width - 1);
        self.text(at, width, digits.as_bytes())
    }

    /// Writes a big-endian two's complement number with the top bit set: GNU's way around octal's limits.
    fn base256(&mut self, at: usize, width: usize, value: i64) -> &mut Self {
        let mut field = vec![if value < 0 { 0xff } else { 0 }; width];
        let bytes = value.to_be_bytes();
        let len = width.min(bytes.len());
        field[width - len..].copy_from_slice(&bytes[bytes.len() - len..]);
        field[0] |= 0x80;
        self.text(at, width, &field)
    }

    /// Returns the block without a checksum: for extension blocks, which have none.
    pub(super) fn unsummed(&self) -> [u8; BLOCK] {
        self.block
    }

    /// Fills in the checksum, which counts its own field as spaces.
    pub(super) fn finish(&mut self) -> [u8; BLOCK] {
        self.text(148, 8, b"        ");
        let sum: u32 = self.block.iter().map(|&byte| u32::from(byte)).sum();
        self.text(148, 8, format!("{sum:06o}\0 ").as_bytes());
        self.block
    }
}

/// Tells whether a number fits in a field of octal digits that ends in a NUL.
pub(super) fn fits_octal(value: i64, width: usize) -> bool {
    value >= 0 && value < 1 << (3 * (width - 1))
}
