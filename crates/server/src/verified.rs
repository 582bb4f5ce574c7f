//! Which files have been found to hold what their names say.
//!
//! What the server writes is verified while it is written. What others put there, or what was there before it started, is
//! hashed before it is first spoken of: other tools write layouts in place, and a power loss may have cut what they wrote.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::{Mutex, PoisonError};

use chunked::BlobDigest;
use chunked::verifying::Verifying;

/// Most files that are remembered, of some hundred bytes each. Beyond it all are forgotten, and hashed again.
const FILES_MAX: usize = 500_000;
/// How many files can be hashed at once. Requests for one file wait for each other, so that it is read once.
const LANES: usize = 16;
/// Bytes read at a time.
const BUFFER_LEN: usize = 256 << 10;

/// Tells a file, as it is now, from every other and from what becomes of it when someone writes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The files that are known to hold the blobs they are named for.
#[derive(Debug, Default)]
pub(crate) struct Verified {
    files: Mutex<HashMap<Stamp, BlobDigest>>,
    lanes: [Mutex<()>; LANES],
}

impl Verified {
    /// Tells whether `file` is the blob; reads all of it unless that is known.
    pub(crate) fn check(&self, file: &File, digest: &BlobDigest) -> io::Result<bool> {
        let stamp = Stamp::of(file)?;
        if self.knows(&stamp, digest) {
            return Ok(true);
        }
        let lane = usize::try_from(stamp.inode).unwrap_or_default() % LANES;
        let _lane = self.lanes[lane].lock().unwrap_or_else(PoisonError::into_inner);
        if self.knows(&stamp, digest) {
            return Ok(true);
        }
        let is_blob = holds(file, stamp.len, digest)?;
        if is_blob && Stamp::of(file)? == stamp {
            self.insert(stamp, *digest);
        }
        Ok(is_blob)
    }

    fn knows(&self, stamp: &Stamp, digest: &BlobDigest) -> bool {
        self.files().get(stamp) == Some(digest)
    }

    /// Remembers what was verified while it was written; to be called when the file has its name, as that changes it.
    pub(crate) fn remember(&self, file: &File, digest: &BlobDigest) -> io::Result<()> {
        self.insert(Stamp::of(file)?, *digest);
        Ok(())
    }

    fn insert(&self, stamp: Stamp, digest: BlobDigest) {
        let mut files = self.files();
        if files.len() >= FILES_MAX {
            files.clear();
        }
        files.insert(stamp, digest);
    }

    fn files(&self) -> std::sync::MutexGuard<'_, HashMap<Stamp, BlobDigest>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stamp {
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// Hashes a file of `len` bytes; its own position does not matter.
pub(crate) fn holds(file: &File, len: u64, digest: &BlobDigest) -> io::Result<bool> {
    let mut body = Verifying::new(FromStart { file, at: 0 }, digest.0, len);
    let mut buffer = vec![0; BUFFER_LEN];
    loop {
        match body.read(&mut buffer) {
            Ok(0) => return Ok(true),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error().is_none() => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

struct FromStart<'a> {
    file: &'a File,
    at: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at = self.at.saturating_add(count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_that_changes_is_looked_at_again() {
        let (mut file, verified) = (tempfile::tempfile().unwrap(), Verified::default());
        file.write_all(b"abc").unwrap();
        let digest = BlobDigest::of(b"abc");
        assert!(verified.check(&file, &digest).unwrap());
        assert!(!verified.check(&file, &BlobDigest::of(b"other")).unwrap());
        assert_eq!(verified.files().len(), 1);
        // The clock of the file system may be coarse.
        std::thread::sleep(std::time::Duration::from_millis(20));
        file.write_at(b"x", 1).unwrap();
        assert!(!verified.check(&file, &digest).unwrap());
        file.set_len(2).unwrap();
        assert!(!verified.check(&file, &digest).unwrap());
    }

    #[test]
    fn what_was_written_is_not_read_again() {
        let (file, verified) = (tempfile::tempfile().unwrap(), Verified::default());
        let digest = BlobDigest::of(b"not what is in it");
        verified.remember(&file, &digest).unwrap();
        assert!(verified.check(&file, &digest).unwrap());
    }
}
