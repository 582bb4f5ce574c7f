//! The bytes of a file: shared with another file where that is possible, otherwise copied.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use rustix::fs::{SeekFrom, copy_file_range, ftruncate, ioctl_ficlone, seek};
use rustix::io::{Errno, retry_on_intr};

/// Shortest file worth a reflink; below, a copy is as fast on every file system, and on XFS a clone of a file that is not
/// on disk yet waits for that (measured: 130 us against 28).
const CLONE_LEN: u64 = 64 << 10;

/// Shortest file that can have a hole: a block of nearly every file system.
const HOLE_LEN: u64 = 4 << 10;

/// Bytes copied at once.
const BUFFER_LEN: usize = 128 << 10;

/// How the bytes of a file got there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Means {
    /// Both files share them.
    Cloned,
    /// That many were copied, the rest are holes.
    Copied(u64),
    /// Not at all: the source is this long.
    WrongLen(u64),
}

/// Fills files, and remembers what the file system cannot do.
#[derive(Debug)]
pub(super) struct Cloner {
    buffer: Vec<u8>,
    can_clone: bool,
    can_copy_range: bool,
}

impl Cloner {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; BUFFER_LEN], can_clone: true, can_copy_range: true }
    }

    /// Gives `to`, which is empty, the `len` bytes of `from`.
    pub(super) fn fill(&mut self, from: &File, to: &File, len: u64) -> io::Result<Means> {
        if len < HOLE_LEN {
            return self.copy_small(from, to, len);
        }
        let source = from.metadata()?;
        if source.len() != len {
            return Ok(Means::WrongLen(source.len()));
        }
        if len >= CLONE_LEN && self.clone(from, to)? {
            return Ok(Means::Cloned);
        }
        // Blocks are counted in units of 512 bytes, stat(2).
        let is_sparse = source.blocks().saturating_mul(512) < len;
        if is_sparse { self.copy_data(from, to, len) } else { self.copy_all(from, to, len) }
    }

    /// Shares the bytes; `false` where that is not possible.
    fn clone(&mut self, from: &File, to: &File) -> io::Result<bool> {
        if !self.can_clone {
            return Ok(false);
        }
        match retry_on_intr(|| ioctl_ficlone(to, from)) {
            Ok(()) => Ok(true),
            Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::IO)) => Err(error.into()),
            // ioctl_ficlone(2) lists a dozen ways to say that these two files cannot share.
            Err(_) => {
                self.can_clone = false;
                Ok(false)
            }
        }
    }

    fn copy_small(&mut self, from: &File, to: &File, len: u64) -> io::Result<Means> {
        // One byte more than wanted tells whether the source is longer.
        let (len_wanted, mut filled) = (len as usize, 0);
        while filled < len_wanted {
            let rest = self.buffer.get_mut(filled..=len_wanted).unwrap_or_default();
            match from.read_at(rest, filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if filled as u64 != len {
            return Ok(Means::WrongLen(from.metadata()?.len()));
        }
        to.write_all_at(self.buffer.get(..filled).unwrap_or_default(), 0)?;
        Ok(Means::Copied(len))
    }

    fn copy_all(&mut self, from: &File, to: &File, len: u64) -> io::Result<Means> {
        self.copy_range(from, to, 0, len)?;
        Ok(Means::Copied(len))
    }

    /// Copies what is not a hole.
    fn copy_data(&mut self, from: &File, to: &File, len: u64) -> io::Result<Means> {
        ftruncate(to, len)?;
        let (mut at, mut copied) = (0, 0);
        while at < len {
            let start = match seek(from, SeekFrom::Data(at)) {
                Ok(start) => start,
                // After the last data there is nothing but a hole.
                Err(Errno::NXIO) => break,
                // A file system that does not tell: all is data.
                Err(Errno::INVAL | Errno::OPNOTSUPP) => at,
                Err(error) => return Err(error.into()),
            };
            let end = seek(from, SeekFrom::Hole(start)).unwrap_or(len).min(len);
            self.copy_range(from, to, start, end)?;
            copied += end.saturating_sub(start);
            at = end.max(start + 1);
        }
        Ok(Means::Copied(copied))
    }

    fn copy_range(&mut self, from: &File, to: &File, start: u64, end: u64) -> io::Result<()> {
        let mut at = start;
        while self.can_copy_range && at < end {
            let (mut from_at, mut to_at) = (at, at);
            let len = usize::try_from(end - at).unwrap_or(usize::MAX);
            match copy_file_range(from, Some(&mut from_at), to, Some(&mut to_at), len) {
                Ok(0) | Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => {
                    self.can_copy_range = false;
                }
                Ok(count) => at += count as u64,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        while at < end {
            let len = usize::try_from(end - at).unwrap_or(usize::MAX).min(self.buffer.len());
            let buffer = self.buffer.get_mut(..len).unwrap_or_default();
            from.read_exact_at(buffer, at)?;
            to.write_all_at(buffer, at)?;
            at += len as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Makes a file of data and holes: each number of bytes, one kind after the other.
    fn make(path: &std::path::Path, runs: &[u64]) -> File {
        let file = File::create_new(path).unwrap();
        let mut at = 0;
        for (index, len) in runs.iter().enumerate() {
            if index % 2 == 0 {
                file.write_all_at(&testkit::data::text(at, *len as usize), at).unwrap();
            }
            at += len;
        }
        file.set_len(at).unwrap();
        File::open(path).unwrap()
    }

    #[test]
    fn bytes_and_holes_arrive_by_every_means() {
        const MIB: u64 = 1 << 20;
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let cases: [&[u64]; 9] = [
            &[1],
            &[4095],
            &[4096],
            &[65_535],
            &[65_536],
            &[300_000],
            &[0, MIB],
            &[100, MIB, 5000, 2 * MIB, 1],
            &[0, MIB, 4096],
        ];
        for (case, can_clone, can_copy_range) in
            (0..cases.len()).flat_map(|case| [(case, true, true), (case, false, true), (case, false, false)])
        {
            let [source, made] =
                ["source", "made"].map(|name| path(&format!("{name}-{case}-{can_clone}-{can_copy_range}")));
            let from = make(&source, cases[case]);
            let (to, len) = (File::create_new(&made).unwrap(), cases[case].iter().sum());
            let mut cloner = Cloner { can_clone, can_copy_range, ..Cloner::new() };
            let means = cloner.fill(&from, &to, len).unwrap();
            assert!(fs::read(&source).unwrap() == fs::read(&made).unwrap(), "{made:?}");
            let blocks = |file: &File| file.metadata().unwrap().blocks();
            assert!(blocks(&to) <= blocks(&from), "{made:?} has lost its holes");
            match means {
                Means::Cloned => assert!(can_clone && len >= CLONE_LEN),
                Means::Copied(copied) => assert!(copied <= len),
                Means::WrongLen(_) => unreachable!("{made:?}"),
            }
        }
    }

    #[test]
    fn a_source_of_another_length_is_told() {
        let dir = tempfile::tempdir().unwrap();
        for (len, claimed) in [(5, 4), (5, 6), (0, 1), (5000, 4999), (5000, 70_000), (70_000, 4096)] {
            let from = make(&dir.path().join(format!("{len}-{claimed}")), &[len]);
            let to = File::create(dir.path().join("to")).unwrap();
            assert_eq!(Cloner::new().fill(&from, &to, claimed).unwrap(), Means::WrongLen(len));
        }
    }
}
