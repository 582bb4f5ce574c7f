//! What a power loss may take: content that was written and not synced.
//!
//! No object is synced by itself. Instead a file `dirty` says that there may be unsynced content, and of which boot. It
//! goes away when everything is synced.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, bounded};
use rustix::fs::{FlockOperation, flock};

use crate::directory::Directory;
use crate::error::{Error, at_path};
use crate::lock;

/// Name of the marker.
pub(crate) const DIRTY: &str = "dirty";

/// Longest content of the marker in bytes.
const DIRTY_LEN_MAX: u64 = 256;

/// Identifies a boot of the machine: what was written and not synced in another one may be lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BootId(String);

impl BootId {
    /// Asks the kernel; where it does not tell, no two boots are the same.
    pub(crate) fn current() -> Self {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self(text.trim().to_owned())
    }

    /// Tells whether nothing was lost since a boot of that name.
    pub(crate) fn is(&self, other: &str) -> bool {
        !self.0.is_empty() && self.0 == other.trim()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Keeps the marker while this process writes.
#[derive(Debug)]
pub(crate) struct Durability {
    root: Directory,
    boot: BootId,
    /// The marker, held by a shared lock, while there may be unsynced content of ours.
    marker: RwLock<Option<File>>,
    writes: AtomicU64,
    /// Whether the marker of another boot is there, and has to stay until what it stands for is mended.
    is_recovering: AtomicBool,
}

/// The right to write content: the marker stays as long as this lives.
#[derive(Debug)]
pub(crate) struct Writing<'a> {
    _marker: RwLockReadGuard<'a, Option<File>>,
}

impl Durability {
    pub(crate) fn new(root: Directory, boot: BootId) -> Self {
        Self {
            root,
            boot,
            marker: RwLock::default(),
            writes: AtomicU64::new(0),
            is_recovering: AtomicBool::new(false),
        }
    }

    /// Tells whether the machine stopped before all content was synced.
    pub(crate) fn is_suspect(&self) -> Result<bool, Error> {
        match self.root.read(DIRTY, DIRTY_LEN_MAX) {
            // Nothing is written before the marker is on disk with its content, so an empty one stands for nothing.
            Ok(marker) => Ok(marker.is_some_and(|marker| {
                !marker.is_empty() && !self.boot.is(&String::from_utf8_lossy(&marker))
            })),
            // Not what we wrote, so anything may have happened.
            Err(Error::TooLong { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Keeps the marker of another boot as it is.
    pub(crate) fn start_recovery(&self) {
        self.is_recovering.store(true, Ordering::Release);
    }

    /// Puts what was mended on disk, and takes the marker of another boot away.
    pub(crate) fn finish_recovery(&self) -> Result<(), Error> {
        self.sync()?;
        self.root.remove(DIRTY)?;
        self.is_recovering.store(false, Ordering::Release);
        Ok(())
    }

    pub(crate) fn boot(&self) -> &BootId {
        &self.boot
    }

    /// Must be called before content is written or named. The first call puts the marker on disk.
    pub(crate) fn writing(&self) -> Result<Writing<'_>, Error> {
        loop {
            let marker = self.marker.read().unwrap_or_else(PoisonError::into_inner);
            if marker.is_some() || self.is_recovering.load(Ordering::Acquire) {
                self.writes.fetch_add(1, Ordering::AcqRel);
                return Ok(Writing { _marker: marker });
            }
            drop(marker);
            let mut marker = self.marker.write().unwrap_or_else(PoisonError::into_inner);
            if marker.is_none() {
                *marker = Some(self.raise()?);
            }
        }
    }

    /// Puts everything on disk, and takes the marker away unless someone wrote meanwhile.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        // What has begun to be written has to be there when the kernel collects what to put on disk.
        let before = {
            let _no_one_writes = self.marker.write().unwrap_or_else(PoisonError::into_inner);
            self.writes.load(Ordering::Acquire)
        };
        rustix::fs::syncfs(&self.root).map_err(at_path("sync", self.root.path()))?;
        let mut marker = self.marker.write().unwrap_or_else(PoisonError::into_inner);
        if self.writes.load(Ordering::Acquire) == before
            && let Some(marker) = marker.take()
        {
            self.lower(marker)?;
        }
        Ok(())
    }

    /// Puts on disk what processes of this boot wrote and left, and takes their marker away unless another one writes.
    pub(crate) fn settle(&self) -> Result<(), Error> {
        if self.root.stat(DIRTY)?.is_none() || self.is_suspect()? {
            return Ok(());
        }
        drop(self.writing()?);
        self.sync()
    }

    /// Does some work, and puts on disk from time to time what it writes, so that [`Durability::sync`] finds little to do.
    pub(crate) fn flushing<T>(&self, work: impl FnOnce() -> T) -> T {
        /// Seconds of writing that are lost in the noise of a sync.
        const EVERY: Duration = Duration::from_secs(1);
        let (working, done) = bounded::<()>(0);
        thread::scope(|scope| {
            scope.spawn(move || {
                while done.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                    // Whoever has to rely on it syncs again, and is told of a failure.
                    let _ = rustix::fs::syncfs(&self.root);
                }
            });
            let _working = working;
            work()
        })
    }

    fn raise(&self) -> Result<File, Error> {
        let failed = || at_path("write", self.root.path_of(DIRTY));
        let mut file = lock::shared(&self.root, DIRTY)?;
        let mut found = String::new();
        // What is not UTF-8 is not ours, and written anew.
        let _ = (&file).take(DIRTY_LEN_MAX).read_to_string(&mut found);
        if !self.boot.is(&found) {
            // Its age tells from when on content may be lost, so the marker of another process of this boot stays.
            file.rewind().map_err(failed())?;
            file.write_all(format!("{}\n", self.boot.as_str()).as_bytes()).map_err(failed())?;
        }
        file.sync_all().map_err(failed())?;
        self.root.sync()?;
        Ok(file)
    }

    /// Removes the marker unless another process needs it, which then removes it.
    fn lower(&self, marker: File) -> Result<(), Error> {
        if flock(&marker, FlockOperation::NonBlockingLockExclusive).is_ok() {
            self.root.remove(DIRTY)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_that_is_just_being_made_is_not_that_of_another_boot() {
        let dir = tempfile::tempdir().unwrap();
        let root = Directory::open(dir.path()).unwrap();
        let is_suspect = |marker: &str| {
            fs::write(dir.path().join(DIRTY), marker).unwrap();
            Durability::new(root.clone(), BootId("this boot".to_owned())).is_suspect().unwrap()
        };
        assert_eq!(["", "this boot\n", "another\n", "this"].map(is_suspect), [false, false, true, true]);
    }
}
