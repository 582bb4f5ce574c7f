//! Contents of several chunks that are being read or written.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use chunked::digest::Hasher;
use chunked::{Chunk, ChunkKind, ContentDigest, FileRange};
use store::{Opened, Partial, Store};

use super::Failure;
use super::ahead::Run;
use super::queue::{Job, Key};
use crate::contents::{ContentRow, Node, Table};
use crate::error::at_path;

/// How long a content stays open that nobody uses. While it is, no other process can write it.
const IDLE: Duration = Duration::from_secs(1);
/// Bytes hashed at a time.
const PIECE_LEN: usize = 256 << 10;

/// The contents that are open.
#[derive(Debug, Default)]
pub(super) struct HeldContents<'s> {
    open: Mutex<HashMap<Node, Arc<Held<'s>>>>,
}

impl<'s> HeldContents<'s> {
    /// Returns a content, opening it if it is not. Never waits for another process that has it open: whoever answers the
    /// kernel is here, and stands for all mounts of the host.
    ///
    /// # Errors
    /// [`Failure::Taken`] when another process has it; those of the store.
    pub(super) fn get(
        &self,
        store: &'s Store,
        node: Node,
        content: &ContentRow,
        table: &Table,
    ) -> Result<Arc<Held<'s>>, Failure> {
        let known = self.lock().get(&node).cloned();
        let held = match known {
            Some(held) => held,
            None => {
                let chunks = table.chunks_of(content)?;
                let fresh = Arc::new(Held::new(node, *content, chunks));
                Arc::clone(self.lock().entry(node).or_insert(fresh))
            }
        };
        held.touch();
        held.open(store)?;
        Ok(held)
    }

    /// Closes what nobody uses.
    pub(super) fn sweep(&self) {
        self.lock().retain(|_, held| Arc::strong_count(held) > 1 || !held.is_idle());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Node, Arc<Held<'s>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A content of several chunks.
#[derive(Debug)]
pub(super) struct Held<'s> {
    pub(super) node: Node,
    pub(super) content: ContentRow,
    pub(super) chunks: Vec<Chunk>,
    backing: RwLock<Backing<'s>>,
    /// Chunks that are not here.
    missing: AtomicUsize,
    used: Mutex<Instant>,
    /// Held by whoever verifies the whole.
    verifying: Mutex<()>,
    pub(super) run: Mutex<Run>,
}

/// Where the bytes are.
#[derive(Debug)]
enum Backing<'s> {
    /// Nobody looked yet.
    Unknown,
    Partial(Partial<'s>),
    Object(File),
    /// The chunks are right, and the whole is not.
    Contradiction,
}

/// How a content was completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Completed {
    /// It is an object.
    Object,
    /// Chunks of it were damaged on disk, and are missing again.
    Damaged,
    /// The TOC contradicts itself.
    Contradiction,
    /// Somebody else was faster, or it is not complete.
    No,
}

impl<'s> Held<'s> {
    fn new(node: Node, content: ContentRow, chunks: Vec<Chunk>) -> Self {
        Self {
            node,
            content,
            chunks,
            backing: RwLock::new(Backing::Unknown),
            missing: AtomicUsize::new(usize::MAX),
            used: Mutex::new(Instant::now()),
            verifying: Mutex::default(),
            run: Mutex::default(),
        }
    }

    fn open(&self, store: &'s Store) -> Result<(), Failure> {
        if !matches!(*self.backing(), Backing::Unknown) {
            return Ok(());
        }
        let mut backing = self.backing.write().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*backing, Backing::Unknown) {
            return Ok(());
        }
        *backing = match store.partials().try_open(&self.content.digest, &self.chunks)? {
            Opened::Taken => return Err(Failure::Taken { digest: self.content.digest }),
            Opened::Partial(partial) => {
                let missing = (0..self.chunks.len()).filter(|chunk| !self.is_here(&partial, *chunk)).count();
                self.missing.store(missing, Ordering::Release);
                Backing::Partial(partial)
            }
            Opened::Object => {
                self.missing.store(0, Ordering::Release);
                let object = store.objects().open(&self.content.digest)?;
                Backing::Object(object.ok_or_else(|| self.failed(io::ErrorKind::NotFound.into()))?)
            }
        };
        Ok(())
    }

    /// Tells whether all chunks are here and the whole was not verified yet.
    pub(super) fn is_ripe(&self) -> bool {
        self.missing.load(Ordering::Acquire) == 0 && matches!(*self.backing(), Backing::Partial(_))
    }

    /// Says what to fetch for a chunk.
    pub(super) fn job(&self, chunk: usize) -> Option<Job> {
        let key = Key { node: self.node, chunk: u32::try_from(chunk).ok()? };
        let chunk = *self.chunks.get(chunk)?;
        Some(Job { key, content: self.content, chunk, source: self.node.table })
    }

    /// Counts the bytes of the blob that it is in.
    pub(super) fn blob_len(&self) -> u64 {
        let [Some(first), Some(last)] = [self.chunks.first(), self.chunks.last()] else { return 0 };
        last.blob.end().saturating_sub(first.blob.start())
    }

    /// Tells whether a chunk is here.
    pub(super) fn has(&self, chunk: usize) -> bool {
        match &*self.backing() {
            Backing::Partial(partial) => self.is_here(partial, chunk),
            Backing::Object(_) => true,
            Backing::Unknown | Backing::Contradiction => false,
        }
    }

    /// Tells whether a chunk is here and right. What has no digest of its own is only known with the whole.
    fn is_here(&self, partial: &Partial<'_>, chunk: usize) -> bool {
        let is_known = |chunk: &Chunk| chunk.digest.is_some() || chunk.kind == ChunkKind::Zeros;
        partial.has(chunk) && (self.chunks.len() == 1 || self.chunks.get(chunk).is_some_and(is_known))
    }

    /// Returns the chunks that a stretch of the file is part of.
    pub(super) fn chunks_in(&self, range: FileRange) -> Range<usize> {
        let start = self.chunks.partition_point(|chunk| chunk.file.end() <= range.start());
        let end = self.chunks.partition_point(|chunk| chunk.file.start() < range.end());
        start..end.max(start)
    }

    /// Reads a stretch of the file to the end of `room`, if all of it is here; otherwise says which chunks are not.
    pub(super) fn read(&self, range: FileRange, room: &mut Vec<u8>) -> Result<Vec<usize>, Failure> {
        self.touch();
        let backing = self.backing();
        let file = match &*backing {
            Backing::Object(file) => file,
            Backing::Partial(partial) => {
                let missing: Vec<_> =
                    self.chunks_in(range).filter(|chunk| !self.is_here(partial, *chunk)).collect();
                if !missing.is_empty() {
                    return Ok(missing);
                }
                partial.file()
            }
            Backing::Contradiction => return Err(Failure::Contradiction { digest: self.content.digest }),
            Backing::Unknown => return Err(Failure::NoLayer),
        };
        read_at(file, range, room).map_err(|error| self.failed(error))?;
        Ok(Vec::new())
    }

    /// Stores a chunk that was verified.
    pub(super) fn write(&self, chunk: usize, bytes: &[u8]) -> Result<(), Failure> {
        self.with_partial(chunk, |partial| partial.write_chunks(chunk..chunk.saturating_add(1), bytes))
    }

    /// Stores a piece of a chunk. The last piece is given when all of the chunk was verified.
    pub(super) fn write_piece(&self, chunk: usize, at: u64, bytes: &[u8]) -> Result<(), Failure> {
        self.with_partial(chunk, |partial| partial.write(chunk, at, bytes))
    }

    fn with_partial(
        &self,
        chunk: usize,
        write: impl FnOnce(&Partial<'_>) -> Result<(), store::Error>,
    ) -> Result<(), Failure> {
        self.touch();
        if let Backing::Partial(partial) = &*self.backing() {
            let was_here = partial.has(chunk);
            write(partial)?;
            if !was_here && partial.has(chunk) {
                self.missing.fetch_sub(1, Ordering::AcqRel);
            }
        }
        Ok(())
    }

    /// Verifies the whole, and makes it an object.
    pub(super) fn complete(&self, store: &'s Store) -> Result<Completed, Failure> {
        let _one_at_a_time = self.verifying.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_ripe() {
            return Ok(Completed::No);
        }
        let whole = FileRange::saturating(0, self.content.len);
        let found = match &*self.backing() {
            Backing::Partial(partial) => hash(partial.file(), whole).map_err(|error| self.failed(error))?,
            _ => return Ok(Completed::No),
        };
        if found != self.content.digest {
            return self.forget_wrong();
        }
        let mut backing = self.backing.write().unwrap_or_else(PoisonError::into_inner);
        let Backing::Partial(partial) = std::mem::replace(&mut *backing, Backing::Unknown) else {
            return Ok(Completed::No);
        };
        partial.commit()?;
        let object = store.objects().open(&self.content.digest)?;
        *backing = object.map_or(Backing::Unknown, Backing::Object);
        Ok(Completed::Object)
    }

    /// Finds the chunks that are not what was verified.
    fn forget_wrong(&self) -> Result<Completed, Failure> {
        let mut wrong = 0;
        if let Backing::Partial(partial) = &*self.backing() {
            for (index, chunk) in self.chunks.iter().enumerate() {
                let digest = chunk.digest.or((self.chunks.len() == 1).then_some(self.content.digest));
                let found = hash(partial.file(), chunk.file).map_err(|error| self.failed(error))?;
                if chunk.kind == ChunkKind::Data && digest != Some(found) {
                    partial.forget(index)?;
                    wrong += 1;
                }
            }
            self.missing.fetch_add(wrong, Ordering::AcqRel);
        }
        if wrong > 0 {
            return Ok(Completed::Damaged);
        }
        *self.backing.write().unwrap_or_else(PoisonError::into_inner) = Backing::Contradiction;
        Ok(Completed::Contradiction)
    }

    fn backing(&self) -> RwLockReadGuard<'_, Backing<'s>> {
        self.backing.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn is_idle(&self) -> bool {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).elapsed() > IDLE
    }

    fn failed(&self, error: io::Error) -> Failure {
        at_path("read", self.content.digest.to_string())(error).into()
    }
}

/// Reads a stretch of a file to the end of `room`.
pub(super) fn read_at(file: &File, range: FileRange, room: &mut Vec<u8>) -> io::Result<()> {
    let start = room.len();
    room.resize(start.saturating_add(usize::try_from(range.len()).unwrap_or(usize::MAX)), 0);
    file.read_exact_at(room.get_mut(start..).unwrap_or_default(), range.start())
}

fn hash(file: &File, range: FileRange) -> io::Result<ContentDigest> {
    let (mut hasher, mut piece, mut at) = (Hasher::new(), vec![0; PIECE_LEN], range.start());
    while at < range.end() {
        let len = usize::try_from(range.end() - at).unwrap_or(PIECE_LEN).min(PIECE_LEN);
        let room = piece.get_mut(..len).unwrap_or_default();
        file.read_exact_at(room, at)?;
        hasher.update(room);
        at = at.saturating_add(len as u64);
    }
    Ok(hasher.finish_content())
}
