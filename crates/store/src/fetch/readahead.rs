//! Reads contents that are in the store before the proof comes to them.

use std::fs::File;
use std::iter::Peekable;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;

use chunked::ContentDigest;
use crossbeam_channel::{Receiver, Sender, bounded};

use super::Fetch;
use super::contents::Wanted;
use super::failure::Failure;
use super::needs::Want;
use crate::store::Store;

/// Bytes of a block.
const BLOCK_LEN: usize = 256 << 10;
/// Most contents in a block.
const BLOCK_CONTENTS: usize = 64;
/// Blocks that are read at once: where the contents are not in memory, one after another takes a disk several times as long.
const READERS: u64 = 8;
/// Blocks that are being read or wait for the proof.
const BLOCKS: usize = 16;

/// Contents of entries, one after another, or a stretch of one.
#[derive(Debug)]
struct Block {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

/// Where in a block a content is, or a stretch of it.
#[derive(Debug)]
struct Span {
    entry: usize,
    range: Range<usize>,
    /// Whether the content ends here.
    is_end: bool,
}

/// A block, or why it could not be read.
type Read = Result<Block, Failure>;
/// A block that somebody reads.
type Promise = Receiver<Read>;

/// The contents of a layer that were in the store before, in the order of the TOC.
#[derive(Debug)]
pub(super) struct Readahead {
    promises: Receiver<Promise>,
    /// Where memory goes to be used again: fresh memory costs a page fault for every 4 KiB.
    spent: Sender<Vec<u8>>,
    block: Option<Block>,
    /// The span of the block that comes next.
    next: usize,
}

impl Readahead {
    /// Starts to read in threads of its own.
    pub(super) fn start<'scope, 'a: 'scope>(
        scope: &'scope Scope<'scope, '_>,
        fetch: &'scope Fetch<'a>,
    ) -> Self {
        let ((promised, promises), (spent, memory)) = (bounded(BLOCKS), bounded(BLOCKS));
        let stored = move || {
            let contents = fetch.needs.contents().iter().flatten();
            contents.filter(|wanted| fetch.needs.want(wanted.entry) == Want::Stored)
        };
        let len = stored().fold(0, |len: u64, wanted| len.saturating_add(wanted.size));
        let tasks = Tasks { store: fetch.store, stored: stored().peekable(), large: None, promised };
        let tasks = Arc::new(Mutex::new(tasks));
        for _ in 0..len.div_ceil(BLOCK_LEN as u64).min(READERS) {
            let (tasks, memory) = (Arc::clone(&tasks), memory.clone());
            let next = move || tasks.lock().unwrap_or_else(PoisonError::into_inner).next();
            scope.spawn(move || {
                while let Some((task, promise)) = next() {
                    let bytes = memory.try_recv().unwrap_or_else(|_| vec![0; BLOCK_LEN]);
                    let block = Block { bytes, spans: Vec::new() };
                    let _ = promise.send(task.and_then(|task| block.fill(fetch.store, task)));
                }
            });
        }
        Self { promises, spent, block: None, next: 0 }
    }

    /// Has nothing.
    pub(super) fn none() -> Self {
        Self { promises: bounded(0).1, spent: bounded(0).0, block: None, next: 0 }
    }

    /// Hands out the content of an entry; `false` when it was not there to be read. Entries are asked for in ascending order.
    ///
    /// # Errors
    /// Those of reading it.
    pub(super) fn content(&mut self, entry: usize, mut hand: impl FnMut(&[u8])) -> Result<bool, Failure> {
        loop {
            let block = self.block.as_ref();
            let Some((block, span)) = block.and_then(|block| Some((block, block.spans.get(self.next)?)))
            else {
                let Ok(promise) = self.promises.recv() else { return Ok(false) };
                let block = promise.recv().unwrap_or(Err(Failure::WorkerLost))?;
                self.next = 0;
                if let Some(spent) = self.block.replace(block) {
                    let _ = self.spent.try_send(spent.bytes);
                }
                continue;
            };
            if span.entry > entry {
                return Ok(false);
            }
            let is_end = span.is_end && span.entry == entry;
            if span.entry == entry {
                hand(block.bytes.get(span.range.clone()).unwrap_or_default());
            }
            self.next = self.next.saturating_add(1);
            if is_end {
                return Ok(true);
            }
        }
    }
}

/// What fills a block.
enum Task<'f> {
    /// Contents that fit into it together.
    Contents(Vec<Wanted<'f>>),
    /// A stretch of a content that fits into none.
    Stretch { large: Large, len: usize },
}

/// A content that does not fit into a block.
#[derive(Clone)]
struct Large {
    entry: usize,
    digest: ContentDigest,
    object: Arc<File>,
    size: u64,
    /// Bytes of it that were given out before.
    at: u64,
}

/// What is to be read, block by block.
struct Tasks<'f, I: Iterator<Item = Wanted<'f>>> {
    store: &'f Store,
    stored: Peekable<I>,
    large: Option<Large>,
    /// Where the proof hears of blocks, in order.
    promised: Sender<Promise>,
}

impl<'f, I: Iterator<Item = Wanted<'f>>> Tasks<'f, I> {
    /// Returns what is to be read next and to whom it goes, as soon as there is room for it; `None` when all has been given
    /// out or the proof wants no more.
    fn next(&mut self) -> Option<(Result<Task<'f>, Failure>, Sender<Read>)> {
        let task = self.task().transpose()?;
        let (promise, promised) = bounded(1);
        self.promised.send(promised).ok()?;
        Some((task, promise))
    }

    fn task(&mut self) -> Result<Option<Task<'f>>, Failure> {
        loop {
            if let Some(large) = self.large.take() {
                return Ok(Some(self.stretch(large)));
            }
            let contents = self.contents();
            if !contents.is_empty() {
                return Ok(Some(Task::Contents(contents)));
            }
            let Some(wanted) = self.stored.next() else { return Ok(None) };
            let object = open(self.store, &wanted)?;
            self.large = object.map(|object| Large {
                entry: wanted.entry,
                digest: wanted.digest,
                object: Arc::new(object),
                size: wanted.size,
                at: 0,
            });
        }
    }

    /// Takes contents as long as they fit into a block.
    fn contents(&mut self) -> Vec<Wanted<'f>> {
        let (mut contents, mut room) = (Vec::new(), BLOCK_LEN as u64);
        while contents.len() < BLOCK_CONTENTS
            && let Some(wanted) = self.stored.next_if(|wanted| wanted.size <= room)
        {
            room = room.saturating_sub(wanted.size);
            contents.push(wanted);
        }
        contents
    }

    fn stretch(&mut self, large: Large) -> Task<'f> {
        let rest = large.size.saturating_sub(large.at);
        let len = usize::try_from(rest).unwrap_or(usize::MAX).min(BLOCK_LEN);
        if rest > BLOCK_LEN as u64 {
            self.large = Some(Large { at: large.at.saturating_add(len as u64), ..large.clone() });
        }
        Task::Stretch { large, len }
    }
}

impl Block {
    fn fill(mut self, store: &Store, task: Task<'_>) -> Read {
        match task {
            Task::Contents(contents) => {
                contents.iter().try_for_each(|wanted| self.append(store, wanted))?;
            }
            Task::Stretch { large: Large { entry, digest, object, size, at }, len } => {
                let failed = |source| Failure::ReadStore { digest, source };
                object.read_exact_at(self.bytes.get_mut(..len).unwrap_or_default(), at).map_err(failed)?;
                let is_end = at.saturating_add(len as u64) >= size;
                self.spans.push(Span { entry, range: 0..len, is_end });
            }
        }
        Ok(self)
    }

    /// Adds a content. One that is not there, because it is yet to come, is left out.
    fn append(&mut self, store: &Store, wanted: &Wanted<'_>) -> Result<(), Failure> {
        let Some(object) = open(store, wanted)? else { return Ok(()) };
        let start = self.spans.last().map_or(0, |span| span.range.end);
        let range = start..start.saturating_add(usize::try_from(wanted.size).unwrap_or(usize::MAX));
        let room = self.bytes.get_mut(range.clone()).unwrap_or_default();
        let failed = |source| Failure::ReadStore { digest: wanted.digest, source };
        object.read_exact_at(room, 0).map_err(failed)?;
        self.spans.push(Span { entry: wanted.entry, range, is_end: true });
        Ok(())
    }
}

/// Opens the object of a content; `None` when it is not there, or not all of it.
fn open(store: &Store, wanted: &Wanted<'_>) -> Result<Option<File>, Failure> {
    let Some(object) = store.objects().open(&wanted.digest)? else { return Ok(None) };
    let failed = |source| Failure::ReadStore { digest: wanted.digest, source };
    Ok((object.metadata().map_err(failed)?.len() == wanted.size).then_some(object))
}
