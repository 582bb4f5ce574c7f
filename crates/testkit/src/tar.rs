//! Tar archives written header by header, good ones and hostile ones.
//!
//! Nothing is checked: a size may lie, a name may climb out of the tree, a header may come twice.
//!
//! ```
//! use morsel_testkit::tar::{Member, Tar};
//!
//! let tar = Tar::new()
//!     .dir("etc/")
//!     .file("etc/hostname", "box\n")
//!     .member(Member::file("etc/shadow", "").mode(0o600).xattr("user.note", "secret"))
//!     .symlink("etc/name", "hostname")
//!     .finish();
//! assert_eq!(tar.len() % 512, 0);
//! ```

mod header;
mod member;
pub mod sample;
mod sparse;

pub use member::{Dialect, Member};
pub use sparse::SparseFormat;

/// Bytes of a tar block.
pub const BLOCK: usize = 512;

/// A tar archive in the making.
#[derive(Debug, Clone, Default)]
pub struct Tar {
    bytes: Vec<u8>,
}

impl Tar {
    /// Starts an archive with no members.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a member: its headers, payload and padding.
    pub fn member(self, member: Member) -> Self {
        self.raw(member.encode())
    }

    /// Adds members in order.
    pub fn members(self, members: impl IntoIterator<Item = Member>) -> Self {
        members.into_iter().fold(self, Self::member)
    }

    /// Adds a directory, 0755. The trailing slash that tars write is the caller's.
    pub fn dir(self, name: impl AsRef<[u8]>) -> Self {
        self.member(Member::dir(name))
    }

    /// Adds a regular file, 0644.
    pub fn file(self, name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        self.member(Member::file(name, content))
    }

    /// Adds a symbolic link.
    pub fn symlink(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.member(Member::symlink(name, target))
    }

    /// Adds a hard link.
    pub fn hardlink(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.member(Member::hardlink(name, target))
    }

    /// Adds bytes as they are: half a header, blocks of zeros, anything.
    pub fn raw(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.bytes.extend_from_slice(bytes.as_ref());
        self
    }

    /// Ends the archive with the two blocks of zeros that mean its end.
    pub fn finish(self) -> Vec<u8> {
        self.raw([0; 2 * BLOCK]).bytes
    }

    /// Ends the archive, then adds bytes after its end.
    pub fn finish_with(self, trailing: impl AsRef<[u8]>) -> Vec<u8> {
        self.raw([0; 2 * BLOCK]).raw(trailing).bytes
    }

    /// Ends the archive and fills it with zeros to a multiple of `factor` blocks, as tar(1) does with 20.
    pub fn finish_blocked(self, factor: usize) -> Vec<u8> {
        let mut bytes = self.finish();
        bytes.resize(bytes.len().next_multiple_of(factor * BLOCK), 0);
        bytes
    }

    /// Stops without the two blocks of zeros.
    pub fn unfinished(self) -> Vec<u8> {
        self.bytes
    }
}

/// Returns a relative path of `depth` components, one letter each.
pub fn deep_path(depth: usize) -> Vec<u8> {
    let mut path = b"d/".repeat(depth);
    path.pop();
    path
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Lists an archive with tar(1), which every Debian machine has, one space between columns.
    fn list(tar: &[u8]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tar");
        std::fs::write(&path, tar).unwrap();
        let listing = Command::new("tar")
            .args(["--numeric-owner", "--full-time", "--utc", "-tvf"])
            .arg(&path)
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap();
        assert!(listing.status.success(), "{}", String::from_utf8_lossy(&listing.stderr));
        let lines = String::from_utf8(listing.stdout).unwrap();
        lines.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect()
    }

    #[test]
    fn gnu_tar_reads_what_the_sample_says() {
        let listing = list(&sample::rich_tar());
        assert_eq!(listing.lines().count(), sample::rich().len());
        for line in [
            "-rwsr-xr-x 1000/100 700 1970-01-01 00:00:00 ./etc/note",
            "hrw-r--r-- 1000/100 0 1970-01-01 00:00:00 ./etc/note.link link to ./etc/note",
            "-rw-r--r-- 0/0 4 2023-11-14 22:13:20.123456789 ./etc/hostname",
            "-rw-r--r-- 0/0 4 1969-12-31 23:59:59 ./etc/old",
            "crw-rw-rw- 0/0 1,3 1970-01-01 00:00:00 ./dev/null",
            "-rw-r--r-- 2147483648/2097153 1 1970-01-01 00:00:00 ./data/big-owner",
            "-rw-r--r-- 0/0 9 2514-05-30 01:53:04 ./base256",
        ] {
            assert!(listing.contains(line), "no `{line}` in\n{listing}");
        }
        for name in ["pax", "gnu", "ustar"] {
            assert!(listing.contains(&format!(" ./{}{name}\n", "long-name/".repeat(14))), "{listing}");
        }
    }

    #[test]
    fn gnu_tar_reads_every_kind_of_sparse_member() {
        let data: Vec<(u64, &[u8])> = (0..30).map(|i| (i * 8192, b"data".as_slice())).collect();
        for format in [SparseFormat::Gnu, SparseFormat::Pax00, SparseFormat::Pax01, SparseFormat::Pax10] {
            let listing = list(
                &Tar::new().member(Member::sparse("holes", format, 1 << 20, &data)).file("next", "").finish(),
            );
            assert!(listing.contains(" 1048576 1970-01-01 00:00:00 holes\n"), "{format:?}: {listing}");
            assert!(listing.contains(" next\n"), "{format:?}: {listing}");
        }
    }

    #[test]
    fn headers_may_lie() {
        let tar = Tar::new().member(Member::file("f", "abc").claimed_len(1 << 40)).unfinished();
        assert_eq!(tar.len(), 4 * BLOCK, "pax header, its record, header, payload");
        let tar = Tar::new().member(Member::dir("d/").claimed_len(5)).finish();
        assert_eq!(&tar[124..136], b"00000000005\0");
    }

    #[test]
    fn deep_paths_have_no_trailing_slash() {
        assert_eq!(deep_path(3), b"d/d/d");
        assert_eq!(deep_path(100_000).len(), 199_999);
    }
}
