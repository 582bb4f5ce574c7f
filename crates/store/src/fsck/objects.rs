//! Hashes objects, with all processors.

use std::fs::File;
use std::io::{self, Read};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;

use chunked::ContentDigest;
use chunked::digest::Hasher;

use super::{BadObject, Findings, Options, Progress, reason};
use crate::error::Error;
use crate::objects::{Found, Objects};
use crate::store::Store;

/// Bytes hashed at a time.
const PIECE_LEN: usize = 256 << 10;

/// What one thread found.
#[derive(Debug, Default)]
struct Share {
    objects: u64,
    len: u64,
    bad: Vec<BadObject>,
}

pub(super) fn check(
    store: &Store,
    options: &Options,
    progress: &dyn Progress,
    findings: &mut Findings,
) -> Result<(), Error> {
    let next = AtomicU16::new(0);
    let work = || share(store.objects(), options.since, progress, &next);
    let shares: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (1..options.threads.get()).map(|_| scope.spawn(work)).collect();
        let own = work();
        // A thread that panicked has found nothing; the panic goes on in this one.
        let others = threads.into_iter().map(|thread| match thread.join() {
            Ok(share) => share,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        std::iter::once(own).chain(others).collect()
    });
    for share in shares {
        let share = share?;
        findings.objects += share.objects;
        findings.objects_len = findings.objects_len.saturating_add(share.len);
        findings.bad_objects.extend(share.bad);
    }
    findings.bad_objects.sort();
    Ok(())
}

/// Checks one directory after another, as long as there are some that no other thread has taken.
fn share(
    objects: &Objects,
    since: Option<i64>,
    progress: &dyn Progress,
    next: &AtomicU16,
) -> Result<Share, Error> {
    let mut share = Share::default();
    let mut piece = vec![0; PIECE_LEN];
    while let Ok(first) = u8::try_from(next.fetch_add(1, Ordering::Relaxed)) {
        for found in objects.list(first)? {
            // What is not named as an object is never read as one.
            let Found::Object(digest) = found else { continue };
            if let Some(since) = since
                && objects.stat(&digest)?.is_some_and(|stat| stat.st_ctime < since)
            {
                continue;
            }
            share.one(objects, &digest, &mut piece, progress);
        }
    }
    Ok(share)
}

impl Share {
    fn one(&mut self, objects: &Objects, digest: &ContentDigest, piece: &mut [u8], progress: &dyn Progress) {
        let problem = match objects.open(digest) {
            // Removed meanwhile.
            Ok(None) => return,
            Ok(Some(file)) => match hash(file, piece, progress) {
                Ok((found, len)) => {
                    self.len = self.len.saturating_add(len);
                    (found != *digest).then(|| format!("its digest is {found}"))
                }
                Err(error) => Some(format!("it cannot be read: {error}")),
            },
            Err(error) => Some(reason(&error)),
        };
        self.objects += 1;
        self.bad.extend(problem.map(|problem| BadObject { digest: *digest, problem }));
    }
}

fn hash(mut file: File, piece: &mut [u8], progress: &dyn Progress) -> io::Result<(ContentDigest, u64)> {
    let mut hasher = Hasher::new();
    let mut len = 0_u64;
    loop {
        let count = match file.read(piece) {
            Ok(0) => return Ok((hasher.finish_content(), len)),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(piece.get(..count).unwrap_or_default());
        len = len.saturating_add(count as u64);
        progress.hashed(count as u64);
    }
}
