//! Which contents of a layer are objects already.

use std::num::NonZeroUsize;
use std::thread;

use chunked::digest::Hasher;
use chunked::{ContentDigest, FileRange};

use super::contents::{Contents, Wanted};
use super::proof::pieces;
use crate::error::Error;
use crate::store::Store;

/// Fewest contents that are worth a thread.
const SHARE_MIN: usize = 1000;
/// Threads for each that may compute: they wait for the disk.
const WAITING: usize = 4;

/// Tells for each entry of a layer whether its content is here; with several threads, as asking for a hundred thousand
/// files takes as long as fetching many of them.
pub(super) fn here(store: &Store, contents: &Contents, jobs: NonZeroUsize) -> Result<Vec<bool>, Error> {
    let count = contents.len();
    let share = count.div_ceil(jobs.get().saturating_mul(WAITING)).max(SHARE_MIN);
    let look = |entry| match contents.get(entry) {
        Some(Wanted { digest, size, .. }) => is_here(store, &digest, size),
        None => Ok(false),
    };
    thread::scope(|scope| {
        let shares = (0..count).step_by(share).map(|start| start..count.min(start.saturating_add(share)));
        let workers: Vec<_> =
            shares.map(|share| scope.spawn(move || share.map(look).collect::<Result<Vec<_>, _>>())).collect();
        let mut here = Vec::with_capacity(count);
        for worker in workers {
            here.extend(worker.join().unwrap_or(Err(Error::WorkerLost))?);
        }
        Ok(here)
    })
}

/// Tells whether the object of a content is here. One of another length is taken away if it is not what its name says: the
/// TOC may be what lies.
fn is_here(store: &Store, digest: &ContentDigest, size: u64) -> Result<bool, Error> {
    let objects = store.objects();
    match objects.len_of(digest)? {
        None => Ok(false),
        Some(len) if len == size => Ok(true),
        Some(len) => {
            let mut hasher = Hasher::new();
            let object = objects.open(digest)?;
            let read = object.map(|object| {
                pieces(&object, FileRange::saturating(0, len), &mut |bytes| hasher.update(bytes))
            });
            if matches!(read, Some(Ok(()))) && hasher.finish_content() != *digest {
                objects.remove(digest)?;
            }
            Ok(false)
        }
    }
}
