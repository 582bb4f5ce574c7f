//! Which contents of a layer are objects already.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
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

/// Bytes that are hashed between two looks at whether anybody still wants to know.
const PIECE_LEN: usize = 16 << 20;

/// Tells for each entry of a layer whether its content is here; with several threads, as asking for a hundred thousand
/// files takes as long as fetching many of them.
pub(super) fn here(
    store: &Store,
    contents: &Contents,
    jobs: NonZeroUsize,
    stop: &AtomicBool,
) -> Result<Vec<bool>, Error> {
    let count = contents.len();
    let share = count.div_ceil(jobs.get().saturating_mul(WAITING)).max(SHARE_MIN);
    let judge = Judge { store, stop, state: Mutex::default() };
    let look = |entry| contents.get(entry).map_or(Ok(false), |wanted| judge.is_here(&wanted));
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

/// Finds out who is wrong when an object has another length than the TOC says.
struct Judge<'a> {
    store: &'a Store,
    stop: &'a AtomicBool,
    state: Mutex<Judged>,
}

#[derive(Debug, Default)]
struct Judged {
    /// Contents whose objects were hashed.
    known: HashSet<ContentDigest>,
    /// Whether an object was right. Then no more are hashed: the pull will fail anyway.
    toc_lies: bool,
}

impl Judge<'_> {
    /// Tells whether the object of a content is here. One of another length is taken away if it is not what its name says:
    /// the TOC may be what lies.
    fn is_here(&self, wanted: &Wanted<'_>) -> Result<bool, Error> {
        let objects = self.store.objects();
        match objects.len_of(&wanted.digest)? {
            None => return Ok(false),
            Some(len) if len == wanted.size => return Ok(true),
            Some(_) => {}
        }
        // Held while hashing: any number of rows may ask for the same.
        let mut judged = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if judged.toc_lies || !judged.known.insert(wanted.digest) {
            return Ok(false);
        }
        match self.is_right(&wanted.digest)? {
            Some(false) => drop(objects.remove(&wanted.digest)?),
            Some(true) => judged.toc_lies = true,
            None => {}
        }
        Ok(false)
    }

    /// Hashes an object; `None` when it cannot be read, or nobody wants to know any more.
    fn is_right(&self, digest: &ContentDigest) -> Result<Option<bool>, Error> {
        let objects = self.store.objects();
        let (Some(len), Some(object)) = (objects.len_of(digest)?, objects.open(digest)?) else {
            return Ok(None);
        };
        let mut hasher = Hasher::new();
        for start in (0..len).step_by(PIECE_LEN) {
            let piece = FileRange::saturating(start, (len - start).min(PIECE_LEN as u64));
            let read = pieces(&object, piece, &mut |bytes| hasher.update(bytes));
            if read.is_err() || self.stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
        }
        Ok(Some(hasher.finish_content() == *digest))
    }
}

#[cfg(test)]
mod tests {
    use chunked::{BlobRange, Chunk, ChunkKind, Content, Entry, EntryKind};

    use super::*;

    /// A row that says of a content that it has `size` bytes.
    fn row(digest: ContentDigest, size: u64) -> Entry {
        let (file, blob) = (FileRange::saturating(0, size), BlobRange::saturating(4, 1));
        let chunk = Chunk { file, blob, inner_offset: 0, digest: None, kind: ChunkKind::Data };
        let content = Content { digest: Some(digest), range: blob, chunks: vec![chunk] };
        Entry { size, content: Some(content), ..Entry::new(EntryKind::Regular, "f") }
    }

    fn looked(store: &Store, rows: impl IntoIterator<Item = (ContentDigest, u64)>) -> Vec<bool> {
        let mut contents = Contents::default();
        rows.into_iter().for_each(|(digest, size)| contents.add(&row(digest, size)));
        here(store, &contents, NonZeroUsize::MIN, &AtomicBool::new(false)).unwrap()
    }

    #[test]
    fn an_object_is_hashed_once_however_many_rows_have_another_length() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let stop = AtomicBool::new(false);
        let judge = Judge { store: &store, stop: &stop, state: Mutex::default() };
        let entries = [b"one".as_slice(), b"two"].map(|content| row(ContentDigest::of(content), 9));
        let mut contents = Contents::default();
        entries.iter().for_each(|entry| contents.add(entry));
        let is_here = |entry: usize| judge.is_here(&contents.get(entry).unwrap()).unwrap();
        let put = |content: &[u8], stored: &[u8]| {
            store.objects().put(&ContentDigest::of(content), stored).unwrap();
        };
        let is_there =
            |content: &[u8]| store.objects().len_of(&ContentDigest::of(content)).unwrap().is_some();
        // What is hashed and wrong goes; what is not hashed any more stays, wrong or not.
        put(b"one", b"x");
        assert!(!is_here(0) && !is_there(b"one"));
        put(b"one", b"x");
        assert!(!is_here(0) && is_there(b"one"));
        put(b"two", b"two");
        assert!(!is_here(1) && is_there(b"two") && judge.state.lock().unwrap().toc_lies);
    }

    #[test]
    fn an_object_that_was_cut_short_goes_whatever_its_rows_say() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let digest = ContentDigest::of(b"whole");
        store.objects().put(&digest, b"who").unwrap();
        assert_eq!(looked(&store, [(digest, 5), (digest, 6)]), [false, false]);
        assert_eq!(store.objects().len_of(&digest).unwrap(), None);
    }
}
