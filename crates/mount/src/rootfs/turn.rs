//! Whose turn it is to mount something somewhere.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::retry_on_intr;

use crate::error::{Error, at_path};

/// The right to decide about directories: another process that mounts on one of them, or writes to it, waits until this is
/// dropped, and sees what was mounted then.
#[derive(Debug)]
pub(super) struct Turn {
    _locks: Vec<OwnedFd>,
}

impl Turn {
    /// Waits for the turn.
    pub(super) fn take<'p>(directories: impl IntoIterator<Item = &'p Path>) -> Result<Self, Error> {
        let mut directories: Vec<_> = directories.into_iter().collect();
        // All in one order, so that two processes never wait for each other.
        directories.sort_unstable();
        directories.dedup();
        let locks = directories.into_iter().map(lock).collect::<Result<_, _>>()?;
        Ok(Self { _locks: locks })
    }
}

fn lock(directory: &Path) -> Result<OwnedFd, Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = open(directory, flags, Mode::empty()).map_err(at_path("open", directory))?;
    retry_on_intr(|| flock(&fd, FlockOperation::LockExclusive)).map_err(at_path("lock", directory))?;
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_wants_one_of_the_same_directories_waits() {
        let dir = tempfile::tempdir().unwrap();
        let [one, two, three] = ["1", "2", "3"].map(|name| dir.path().join(name));
        [&one, &two, &three].into_iter().for_each(|path| std::fs::create_dir(path).unwrap());
        let turn = Turn::take([two.as_path(), &one, &two]).unwrap();
        Turn::take([three.as_path()]).unwrap();
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let other = scope.spawn(|| {
                Turn::take([three.as_path(), &two]).unwrap();
                assert!(is_over.load(Ordering::Acquire));
            });
            thread::sleep(Duration::from_millis(50));
            is_over.store(true, Ordering::Release);
            drop(turn);
            other.join().unwrap();
        });
    }
}
