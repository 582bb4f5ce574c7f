use std::collections::HashSet;

use crate::digest::ContentDigest;
use crate::tar::clean;

/// Remembers paths, so that one that comes twice is noticed.
///
/// Two names are the same path when they are equal after cleaning as by Go's `filepath.Clean`: `a`, `./a` and `b/../a`
/// are one path, `/a` is another. Each path costs about 35 bytes, however long it is.
#[derive(Debug, Default)]
pub struct Paths(HashSet<[u8; 16]>);

impl Paths {
    /// Starts with no paths.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the path of a tar member's name; tells whether it is new.
    pub fn insert(&mut self, name: &[u8]) -> bool {
        let ContentDigest(digest) = ContentDigest::of(&clean(name));
        let mut half = [0; 16];
        half.copy_from_slice(digest.split_at(16).0);
        self.0.insert(half)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_new_once() {
        let mut paths = Paths::new();
        assert!(paths.insert(b"a"));
        assert!(paths.insert(b"/a"));
        assert!(!paths.insert(b"./a/"));
    }
}
