//! Locks, ours and those of containers-storage.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use chunked::Digest;
use rustix::fs::{FlockOperation, fcntl_lock, flock};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::getpid;

use crate::error::{Error, at_path};

/// Bytes at the start of a lock file that say which version of the list is there.
const TOKEN_LEN: usize = 64;

/// A lock of ours, held until it is dropped. It also keeps threads of one process apart.
#[derive(Debug)]
pub(crate) struct OwnLock {
    _file: File,
}

impl OwnLock {
    /// Waits until nobody else has it.
    pub(crate) fn take(path: &Path) -> Result<Self, Error> {
        let file = open(path)?;
        retry_on_intr(|| flock(&file, FlockOperation::LockExclusive)).map_err(at_path("lock", path))?;
        Ok(Self { _file: file })
    }

    /// Takes it if nobody has it.
    pub(crate) fn try_take(path: &Path) -> Result<Option<Self>, Error> {
        let file = open(path)?;
        match retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockExclusive)) {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(at_path("lock", path)(error)),
        }
    }
}

/// The lock that engines hold while they read a list, taken for writing and held until it is dropped.
///
/// It is a record lock of POSIX, as engines take them, so it is the process that has it: any other handle of the file that
/// is closed gives it up. Whoever takes it holds an [`OwnLock`] meanwhile, and nothing else in this crate opens the file.
#[derive(Debug)]
pub(crate) struct ListLock {
    file: File,
}

impl ListLock {
    /// Waits until no engine reads the list. They do so briefly.
    pub(crate) fn take(path: &Path) -> Result<Self, Error> {
        let file = open(path)?;
        retry_on_intr(|| fcntl_lock(&file, FlockOperation::LockExclusive)).map_err(at_path("lock", path))?;
        Ok(Self { file })
    }

    /// Tells engines that the list is another one. This comes before the list is replaced: when we are killed in between, they
    /// read it once too often, and not once too rarely.
    pub(crate) fn renew_token(&self, path: &Path) -> Result<(), Error> {
        self.file.write_all_at(&token(), 0).map_err(at_path("write", path))
    }
}

fn open(path: &Path) -> Result<File, Error> {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path);
    file.map_err(at_path("open", path))
}

/// Makes bytes that nobody has made before: engines compare them, and that is all.
fn token() -> [u8; TOKEN_LEN] {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let nanoseconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let seed = format!("{nanoseconds} {count} {}", getpid());
    let mut token = [0; TOKEN_LEN];
    for (part, text) in token.chunks_mut(TOKEN_LEN / 2).zip([seed.clone(), seed + "."]) {
        if let Digest::Sha256(bytes) = Digest::of(text.as_bytes()) {
            part.copy_from_slice(&bytes);
        }
    }
    token
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ() {
        assert_ne!(token(), token());
        assert!(token().iter().filter(|byte| **byte != 0).count() > TOKEN_LEN / 2);
    }
}
