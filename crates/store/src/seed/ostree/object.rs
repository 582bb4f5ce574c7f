//! The objects of a repository that lead to files: commits and directories.

use std::cmp::Ordering;
use std::ops::Range;

use super::variant::{self, Array};

/// A checksum of ostree's: for files it covers owner, mode and extended attributes as well as the content, so it is not
/// the digest of anything in an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Checksum([u8; 32]);

impl Checksum {
    /// Reads 64 lower-case hexadecimal digits.
    pub fn from_hex(hex: &str) -> Option<Self> {
        let digest: chunked::ContentDigest = format!("sha256:{hex}").parse().ok()?;
        Some(Self(digest.0))
    }

    fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Returns the path of an object below the repository; `kind` is `commit`, `dirtree`, `file` ...
    pub fn path(&self, kind: &str) -> String {
        object_path(&chunked::Digest::Sha256(self.0).hex(), kind)
    }
}

/// Returns the path below the repository of what is named by 64 hexadecimal digits.
pub(super) fn object_path(hex: &str, kind: &str) -> String {
    let (fan, rest) = hex.split_at_checked(2).unwrap_or_default();
    format!("objects/{fan}/{rest}.{kind}")
}

/// Finds the directory that a commit is of: member 6 of the tuple `(a{sv}aya(say)sstayay)`.
///
/// The parents, messages and time before it are skipped. Nothing is checked against the commit's own checksum, as what is
/// found in the end is hashed.
pub fn root_of_commit(commit: &[u8]) -> Option<Checksum> {
    // Where the body text ends, and the directory's checksum.
    const BODY: usize = 4;
    const ROOT: usize = 5;
    let time = variant::offset_from_end(commit, BODY)?.checked_next_multiple_of(size_of::<u64>())?;
    let start = time.checked_add(size_of::<u64>())?;
    Checksum::from_slice(commit.get(start..variant::offset_from_end(commit, ROOT)?)?)
}

/// A directory: the tuple `(a(say)a(sayay))` of its files and its directories, each in the order of their names.
#[derive(Debug, Clone)]
pub struct DirTree {
    bytes: Box<[u8]>,
    files: Range<usize>,
    directories: Range<usize>,
}

impl DirTree {
    /// Takes the bytes of a `.dirtree` object; `None` when they are not one.
    pub fn parse(bytes: Vec<u8>) -> Option<Self> {
        let [files, directories] = variant::tuple(&bytes)?;
        Array::parse(files).and(Array::parse(directories))?;
        let (files, directories) = (0..files.len(), files.len()..files.len().checked_add(directories.len())?);
        Some(Self { bytes: bytes.into_boxed_slice(), files, directories })
    }

    /// Finds a file.
    pub fn file(&self, name: &[u8]) -> Option<Checksum> {
        self.find(&self.files, name, |entry| {
            let [name, checksum] = variant::tuple(entry)?;
            Some((variant::string(name)?, checksum))
        })
    }

    /// Finds a directory.
    pub fn directory(&self, name: &[u8]) -> Option<Checksum> {
        self.find(&self.directories, name, |entry| {
            let [name, contents, _metadata] = variant::tuple(entry)?;
            Some((variant::string(name)?, contents))
        })
    }

    /// Counts bytes in memory.
    pub fn memory(&self) -> usize {
        self.bytes.len().saturating_add(size_of::<Self>())
    }

    /// Searches an array whose elements `read` takes apart into name and checksum. Of one that is not in order something
    /// may not be found.
    fn find(
        &self,
        array: &Range<usize>,
        wanted: &[u8],
        read: impl Fn(&[u8]) -> Option<(&[u8], &[u8])>,
    ) -> Option<Checksum> {
        let array = Array::parse(self.bytes.get(array.clone())?)?;
        let (mut start, mut end) = (0, array.len());
        while start < end {
            let middle = start + (end - start) / 2;
            let (name, checksum) = read(array.get(middle)?)?;
            match name.cmp(wanted) {
                Ordering::Equal => return Checksum::from_slice(checksum),
                Ordering::Less => start = middle + 1,
                Ordering::Greater => end = middle,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two files, written by ostree 2022.7.
    const DIR_TREE: &str = "656d70747900cc700d46f407c6c5ab2d5dde474366a928b7398277e61162e7f8ec06f469f07e06\
        736d616c6c0044f778e59f0a4748d6b0c90a47347212a231c4ad1e8f7ea5c5dffc7749153a6b06274e50";
    /// The directories `etc` and `usr`.
    const ROOT: &str = "657463009182ca5f082919c86a4449f87c77a7ecbd4101de30951835992e0b57a0da4515446a0ef11b7cc167\
        f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c54882404\
        75737200ee74f22a840eb2c27e824913135db7ca8ea60199383cd81176b2b92c415ce669446a0ef11b7cc167\
        f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c54882404468c00";
    const COMMIT: &str = "6f73747265652e7265662d62696e64696e67000000000000\
        6d61696e2f780007006173132473756200000000000000000000\
        00006b028dfea90e4d89fbe9c9a90fec161c0193e32f70f7137638ec760a926b3f73846a5073446a0ef11b7cc167\
        f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488582a29252525";

    fn unhex(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().map(|digit| (digit as char).to_digit(16).unwrap() as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    fn hex(checksum: Option<Checksum>) -> String {
        checksum.unwrap().path("x")["objects/".len()..].replace('/', "")
    }

    #[test]
    fn a_commit_leads_to_its_root() {
        assert_eq!(
            hex(root_of_commit(&unhex(COMMIT))),
            "a90e4d89fbe9c9a90fec161c0193e32f70f7137638ec760a926b3f73846a5073.x"
        );
    }

    #[test]
    fn a_directory_has_files_and_directories() {
        let root = DirTree::parse(unhex(ROOT)).unwrap();
        assert!(root.file(b"etc").is_none());
        assert!(root.directory(b"var").is_none());
        assert_eq!(
            hex(root.directory(b"usr")),
            "ee74f22a840eb2c27e824913135db7ca8ea60199383cd81176b2b92c415ce669.x"
        );
        let etc = DirTree::parse(unhex(DIR_TREE)).unwrap();
        assert!(etc.directory(b"empty").is_none());
        assert_eq!(
            hex(etc.file(b"small")),
            "44f778e59f0a4748d6b0c90a47347212a231c4ad1e8f7ea5c5dffc7749153a6b.x"
        );
        assert!(etc.file(b"smal").is_none() && etc.file(b"small\0").is_none() && etc.file(b"").is_none());
    }

    #[test]
    fn damaged_objects_hold_nothing_or_something_else() {
        for (bytes, names) in [(unhex(ROOT), ["etc", "usr"]), (unhex(DIR_TREE), ["empty", "small"])] {
            for cut in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[cut] ^= 0xff;
                for damaged in [bytes[..cut].to_vec(), changed] {
                    let Some(tree) = DirTree::parse(damaged) else { continue };
                    let _found =
                        names.map(|name| (tree.file(name.as_bytes()), tree.directory(name.as_bytes())));
                }
            }
        }
        let commit = unhex(COMMIT);
        assert!((0..commit.len()).all(|cut| root_of_commit(&commit[..cut]) != root_of_commit(&commit)));
    }
}
