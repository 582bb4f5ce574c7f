use std::fmt;

use crc_fast::{CrcAlgorithm, Digest};

/// Computes the checksum tar-split keeps of each file's content: CRC-64/GO-ISO.
///
/// It catches mistakes, not attacks; digests do that.
#[derive(Clone)]
pub struct Crc64(Digest);

impl Crc64 {
    /// Starts with no bytes summed.
    pub fn new() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc64GoIso))
    }

    /// Sums `bytes` alone.
    pub fn of(bytes: &[u8]) -> u64 {
        crc_fast::checksum(CrcAlgorithm::Crc64GoIso, bytes)
    }

    /// Sums the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the checksum of everything summed.
    pub fn finish(&self) -> u64 {
        self.0.finalize()
    }
}

impl Default for Crc64 {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Crc64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Crc64({:016x})", self.finish())
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sums_are_those_of_the_catalogue_and_of_tar_split() {
        assert_eq!(Crc64::of(b"123456789"), 0xb909_56c7_75a4_1001);
        let stored = |bytes: &[u8]| STANDARD.encode(Crc64::of(bytes).to_be_bytes());
        assert_eq!(stored(b"hello\n"), "YUw+7uLYEAA=");
        assert_eq!(stored(b"x"), "IxAAAAAAAAA=");
        assert_eq!(stored(b""), "AAAAAAAAAAA=");
    }

    proptest! {
        #[test]
        fn pieces_sum_to_the_whole(bytes: Vec<u8>, cut: prop::sample::Index) {
            let (head, tail) = bytes.split_at(cut.index(bytes.len() + 1));
            let mut crc = Crc64::new();
            crc.update(head);
            crc.update(tail);
            prop_assert_eq!(crc.finish(), Crc64::of(&bytes));
        }
    }
}
