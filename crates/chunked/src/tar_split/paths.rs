use std::collections::HashSet;

use crate::digest::ContentDigest;

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

/// Cleans a path as Go's `filepath.Clean` does on Unix, without looking at any file.
fn clean(name: &[u8]) -> Vec<u8> {
    let rooted = name.first() == Some(&b'/');
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.last().is_some_and(|last| *last != b"..") => drop(parts.pop()),
            b".." if rooted => {}
            _ => parts.push(part),
        }
    }
    let joined = parts.join(&b'/');
    match (rooted, joined.is_empty()) {
        (true, _) => [b"/", joined.as_slice()].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_in_go() {
        for (name, expected) in [
            ("", "."),
            (".", "."),
            ("./", "."),
            ("a", "a"),
            ("./a//b/", "a/b"),
            ("a/./b/../c", "a/c"),
            ("a/..", "."),
            ("../a", "../a"),
            ("a/../../b", "../b"),
            ("../../a/..", "../.."),
            ("/", "/"),
            ("//a", "/a"),
            ("/../a", "/a"),
            ("/a/..", "/"),
            ("a/...", "a/..."),
        ] {
            assert_eq!(String::from_utf8(clean(name.as_bytes())).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn a_path_is_new_once() {
        let mut paths = Paths::new();
        assert!(paths.insert(b"a"));
        assert!(paths.insert(b"/a"));
        assert!(!paths.insert(b"./a/"));
    }
}
