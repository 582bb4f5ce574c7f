//! Reads contents that are in the store before the proof comes to them.

use std::mem;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::thread::Scope;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::Fetch;
use super::contents::Wanted;
use super::failure::Failure;
use super::needs::Want;

/// Bytes of a block.
const BLOCK_LEN: usize = 1 << 20;
/// Blocks that wait for the proof.
const BLOCKS: usize = 3;

/// Contents of entries, one after another.
#[derive(Debug)]
struct Block {
    bytes: Vec<u8>,
    /// Bytes that are in use.
    len: usize,
    spans: Vec<Span>,
}

impl Block {
    fn new() -> Self {
        Self { bytes: vec![0; BLOCK_LEN], len: 0, spans: Vec::new() }
    }

    fn emptied(mut self) -> Self {
        (self.len, self.spans) = (0, Vec::new());
        self
    }
}

/// A stretch of a content.
#[derive(Debug)]
struct Span {
    entry: usize,
    range: Range<usize>,
    /// Whether the content ends here.
    is_end: bool,
}

/// The contents of a layer that were in the store before, in the order of the TOC.
#[derive(Debug)]
pub(super) struct Readahead {
    blocks: Receiver<Result<Block, Failure>>,
    /// Where blocks go to be filled again: fresh memory costs a page fault for every 4 KiB.
    spent: Sender<Block>,
    block: Option<Block>,
    /// The span of the block that comes next.
    next: usize,
}

impl Readahead {
    /// Starts to read in a thread of its own.
    pub(super) fn start<'scope, 'a: 'scope>(
        scope: &'scope Scope<'scope, '_>,
        fetch: &'scope Fetch<'a>,
    ) -> Self {
        let ((full, blocks), (spent, empty)) = (bounded(BLOCKS), bounded(BLOCKS));
        scope.spawn(move || Reader { fetch, full, empty }.run());
        Self { blocks, spent, block: None, next: 0 }
    }

    /// Has nothing.
    pub(super) fn none() -> Self {
        Self { blocks: bounded(0).1, spent: bounded(0).0, block: None, next: 0 }
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
                let Ok(block) = self.blocks.recv() else { return Ok(false) };
                self.next = 0;
                if let Some(spent) = self.block.replace(block?) {
                    let _ = self.spent.try_send(spent);
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

/// The other end.
struct Reader<'r, 'a> {
    fetch: &'r Fetch<'a>,
    full: Sender<Result<Block, Failure>>,
    empty: Receiver<Block>,
}

impl Reader<'_, '_> {
    /// Reads what was in the store when the needs were decided, until nobody wants it any more.
    fn run(self) {
        let needs = self.fetch.needs;
        let mut block = Block::new();
        let contents = needs.contents().iter().flatten();
        for wanted in contents.filter(|wanted| needs.want(wanted.entry) == Want::Stored) {
            match self.append(&wanted, &mut block) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    let _ = self.full.send(Err(error));
                    return;
                }
            }
        }
        let _ = self.full.send(Ok(block));
    }

    /// Adds a content, and sends the blocks that are full; `false` when nobody takes them. One that is not there, because it
    /// is yet to come, is left out.
    fn append(&self, wanted: &Wanted<'_>, block: &mut Block) -> Result<bool, Failure> {
        let failed = |source| Failure::ReadStore { digest: wanted.digest, source };
        let Some(object) = self.fetch.store.objects().open(&wanted.digest)? else { return Ok(true) };
        if object.metadata().map_err(failed)?.len() != wanted.size {
            return Ok(true);
        }
        let mut at = 0;
        while at < wanted.size {
            if block.len >= BLOCK_LEN {
                let empty = self.empty.try_recv().map_or_else(|_| Block::new(), Block::emptied);
                if self.full.send(Ok(mem::replace(block, empty))).is_err() {
                    return Ok(false);
                }
            }
            let rest = usize::try_from(wanted.size.saturating_sub(at)).unwrap_or(usize::MAX);
            let range = block.len..block.len.saturating_add(rest).min(BLOCK_LEN);
            let room = block.bytes.get_mut(range.clone()).unwrap_or_default();
            object.read_exact_at(room, at).map_err(failed)?;
            (block.len, at) = (range.end, at.saturating_add(range.len() as u64));
            block.spans.push(Span { entry: wanted.entry, range, is_end: at >= wanted.size });
        }
        Ok(true)
    }
}
