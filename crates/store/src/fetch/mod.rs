//! Brings a zstd:chunked layer into the store: only what is missing, everything verified, the diff ID proven on the way.
//!
//! ```text
//!            requests              batches of frames          contents in tar order
//!  plan ──► transfer (connections) ──────► decode (jobs) ──────────► proof (one thread)
//!                                             │                        │
//!                                             ▼                        ▼
//!                              objects, chunks of partials    diff ID, objects of chunked files
//! ```
//!
//! `transfer` only moves bytes. `decode` hashes what came; small files become objects, chunks of larger ones go into a
//! partial. `proof` follows the tar-split in tar order, takes every content while it is still in memory (or reads it from
//! the store when it came out of order or was there before), hashes the tar, and completes the chunked files.
//!
//! Decoders never wait for something that only they could bring: the board between them and the proof holds a bounded
//! number of bytes, and what does not fit is read back.

mod absent;
mod board;
mod bring;
mod complete;
mod contents;
mod decode;
mod elsewhere;
mod failure;
mod giant;
mod halt;
mod here;
mod known;
mod local;
mod meter;
mod needs;
mod partials;
mod plain;
mod pool;
mod proof;
mod readahead;
mod report;
mod rows;
mod run;
mod seeded;
mod similar;
mod transfer;

use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::thread;

use chunked::digest::DiffId;
use chunked::plan::Way;
use chunked::{Chunk, ChunkedLayer, ContentDigest, Limits, RangeSource};

use board::Board;
use failure::show;
use meter::Meter;
use pool::Pool;
use proof::Proof;

pub(crate) use contents::Contents;
pub use contents::{NotInParts, in_parts};
pub use elsewhere::Elsewhere;
pub use failure::Failure;
pub(crate) use needs::Needs;
use partials::OpenPartials;
pub(crate) use plain::fetch_plain;
pub use report::{Count, Fetched, FromSeed, Reused};

use contents::Wanted;
use needs::{Frame, FrameId};
use report::FromSeeds;

use crate::seed::Seeds;
use crate::store::Store;

/// How a layer is brought in.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Threads that decode.
    pub jobs: NonZeroUsize,
    /// Bytes of decoded content to hold for the proofs of all layers that come at once.
    pub memory: usize,
    /// What makes a layer trusted.
    pub verification: Verification,
    /// Bounds on the tar-split.
    pub limits: Limits,
    /// How missing bytes are asked for.
    pub way: Way,
}

/// What makes a layer trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verification {
    /// The tar is rebuilt and hashed: it must have the diff ID.
    DiffId,
    /// Every content is hashed, and TOC and tar-split agree; the tar is not hashed.
    Toc,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            jobs: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            memory: 16 << 20,
            verification: Verification::DiffId,
            limits: Limits::default(),
            way: Way::default(),
        }
    }
}

/// Is told of progress while layers are brought in, from several threads.
pub trait Progress: Sync {
    /// A layer will take about so many more bytes from the network.
    fn planned(&self, bytes: u64);

    /// So many more of them came.
    fn came(&self, bytes: u64);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn planned(&self, _bytes: u64) {}
    fn came(&self, _bytes: u64) {}
}

/// A layer on its way into the store.
pub(crate) struct Fetch<'a> {
    /// Where it goes.
    store: &'a Store,
    /// The blob.
    source: &'a (dyn RangeSource + Sync),
    /// The blob's TOC and tar-split.
    layer: &'a ChunkedLayer,
    /// What of it has to come from where.
    needs: &'a Needs<'a>,
    /// How.
    options: &'a Options,
    /// The other layers of the pull.
    others: Others<'a>,
    /// Where else content may be.
    seeds: &'a Seeds,
    from_seeds: FromSeeds,
    /// The chunked files that are written at the moment.
    partials: OpenPartials<'a>,
    /// Held while a chunk is decoded that does not fit in memory.
    giant: Mutex<()>,
    meter: Meter<'a>,
}

/// What a layer has to know of the other layers of a pull, and of other places.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Others<'a> {
    /// What the other layers bring.
    pub(crate) elsewhere: &'a Elsewhere,
    /// How many layers come at once, and share memory and connections.
    pub(crate) at_once: usize,
    /// Whether one of them failed, so that all are given up.
    pub(crate) stop: &'a AtomicBool,
    /// Where else content may be.
    pub(crate) seeds: &'a Seeds,
}

impl std::fmt::Debug for Fetch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetch").field("toc", &self.layer.toc_digest).finish_non_exhaustive()
    }
}

impl<'a> Fetch<'a> {
    /// Gets ready to bring in what `needs` says of `layer`, from `source`, whose progress `progress` is told.
    pub(crate) fn new(
        store: &'a Store,
        source: &'a (dyn RangeSource + Sync),
        (layer, needs): (&'a ChunkedLayer, &'a Needs<'a>),
        options: &'a Options,
        others: Others<'a>,
        progress: &'a dyn Progress,
    ) -> Self {
        let (partials, giant, meter) = (OpenPartials::default(), Mutex::new(()), Meter::new(progress));
        let (seeds, from_seeds) = (others.seeds, FromSeeds::new(others.seeds));
        Self { store, source, layer, needs, options, others, seeds, from_seeds, partials, giant, meter }
    }

    /// Brings in what is missing, and proves the layer.
    ///
    /// # Errors
    /// Those of the source and of the store. [`Failure::Content`] and its kin when bytes are not what the TOC promises: then
    /// what was verified stays, and nothing else.
    pub(crate) fn run(&self, diff_id: Option<&DiffId>) -> Result<Fetched, Failure> {
        let memory = self.options.memory / self.others.at_once.max(1);
        let board = Board::new(memory);
        // As many as may lie on the board, and what is in the hands of the threads.
        let buffers = self.options.jobs.get().saturating_mul(2).saturating_add(memory / pool::ROOM);
        let pool = Arc::new(Pool::new(buffers));
        let mut fetched = Fetched::of(self.needs);
        let proven = thread::scope(|scope| {
            let proof = scope.spawn(|| {
                let _ended = OnDrop(|| board.end());
                Proof::run(self, &board)
            });
            // Neither side must wait for the other in vain, even when a thread panics.
            let _failed = OnDrop(|| board.close(false));
            let brought = seeded::copy(self, &board, &pool)
                .and_then(|missing| {
                    local::copy(self, &board, &pool, &mut fetched)?;
                    similar::copy(self, &board, &pool, missing)
                })
                .and_then(|()| self.bring(&board, &pool, &mut fetched));
            board.close(brought.is_ok());
            let proven = proof.join().unwrap_or(Err(Failure::WorkerLost));
            match (brought, proven) {
                (_, Err(error)) if !matches!(error, Failure::Stopped) => Err(error),
                (Err(error), _) => Err(error),
                (Ok(()), proven) => proven,
            }
        })?;
        fetched.wasted = self.meter.wasted();
        fetched.seeded(&self.from_seeds);
        fetched.prove(proven, diff_id)?;
        Ok(fetched)
    }

    fn wanted(&self, id: FrameId) -> Result<Wanted<'_>, Failure> {
        self.needs.contents().get(id.entry()).ok_or(Failure::Stopped)
    }

    fn chunk(&self, id: FrameId) -> Result<&Chunk, Failure> {
        self.wanted(id)?.chunks.get(id.chunk()).ok_or(Failure::Stopped)
    }

    fn damaged(&self, frame: &Frame, source: io::Error) -> Failure {
        Failure::Frame { path: self.path_of(frame.id.entry()), range: frame.range, source }
    }

    /// Says that a content has another digest than the TOC has.
    fn mismatch(&self, wanted: &Wanted<'_>, found: ContentDigest) -> Failure {
        Failure::Content { path: self.path_of(wanted.entry), expected: wanted.digest, found }
    }

    /// Says that a chunk has another digest than the TOC has.
    fn wrong_chunk(&self, wanted: &Wanted<'_>, index: usize, found: ContentDigest) -> Failure {
        match (wanted.chunks.get(index), wanted.digest_of(index)) {
            (Some(chunk), Some(expected)) if wanted.chunks.len() > 1 => {
                Failure::Chunk { path: self.path_of(wanted.entry), range: chunk.file, expected, found }
            }
            _ => self.mismatch(wanted, found),
        }
    }

    fn path_of(&self, entry: usize) -> String {
        show(&rows::name(self.layer, &self.options.limits, entry).unwrap_or_default())
    }
}

/// Does something at the end of a scope, however that ends.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
