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
//! `transfer` only moves bytes. `decode` hashes small files and makes them objects; chunks of larger files go into a
//! partial. `proof` follows the tar-split in tar order, takes every content while it is still in memory (or reads it from
//! the store when it came out of order or was there before), hashes the tar, and completes the chunked files.
//!
//! Decoders never wait for something that only they could bring: the [`board`] between them and the proof holds a bounded
//! number of bytes, and what does not fit is read back.

mod board;
mod decode;
mod elsewhere;
mod failure;
mod known;
mod local;
mod needs;
mod partials;
mod plain;

mod pool;
mod proof;
mod report;
mod transfer;

use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use chunked::digest::DiffId;
use chunked::plan::{FetchPlan, plan};
use chunked::{Chunk, ChunkedLayer, Class, Limits, RangeSource};
use crossbeam_channel::bounded;

use board::Board;
use failure::show;
use pool::Pool;
use proof::Proof;

pub use elsewhere::Elsewhere;
pub use failure::Failure;
pub use needs::{Needs, NotInParts, in_parts};
pub(crate) use partials::OpenPartials;
pub(crate) use plain::fetch_plain;

pub use report::{Count, Fetched, Reused};

use needs::{Frame, FrameId, Wanted};

use crate::store::Store;

/// How a layer is brought in.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Threads that decode.
    pub jobs: NonZeroUsize,
    /// Bytes of decoded content to hold for the proof.
    pub memory: usize,
    /// What makes a layer trusted.
    pub verification: Verification,
    /// Bounds on the tar-split.
    pub limits: Limits,
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
            memory: 32 << 20,
            verification: Verification::DiffId,
            limits: Limits::default(),
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
    pub(crate) store: &'a Store,
    /// The blob.
    pub(crate) source: &'a (dyn RangeSource + Sync),
    /// The blob's TOC.
    pub(crate) layer: &'a ChunkedLayer,
    /// What of it has to come from where.
    pub(crate) needs: &'a Needs<'a>,
    /// How.
    pub(crate) options: &'a Options,
    /// Who is told.
    pub(crate) progress: &'a dyn Progress,
    /// What other layers of the pull bring.
    pub(crate) elsewhere: &'a Elsewhere,
    /// The chunked files that are written at the moment.
    pub(crate) partials: OpenPartials<'a>,
}

impl std::fmt::Debug for Fetch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetch").field("toc", &self.layer.toc_digest).finish_non_exhaustive()
    }
}

/// Rounds of requests without anything new before a source is given up.
const FRUITLESS_ROUNDS: usize = 6;

impl Fetch<'_> {
    /// Brings in what is missing, and proves the layer.
    ///
    /// # Errors
    /// Those of the source and of the store. [`Failure::Content`] and its kin when bytes are not what the TOC promises: then
    /// what was verified stays, and nothing else.
    pub(crate) fn run(&self, diff_id: Option<&DiffId>) -> Result<Fetched, Failure> {
        let board = Board::new(self.options.memory);
        let pool = Arc::new(Pool::new(self.options.jobs.get().saturating_mul(4)));
        let mut fetched = Fetched::of(self.needs);
        let proof = Proof { fetch: self, board: &board };
        let proven = thread::scope(|scope| {
            let proof = scope.spawn(|| {
                let proven = proof.run();
                board.end(proven.is_err());
                proven
            });
            let brought = local::copy(self, &board, &pool, &mut fetched)
                .and_then(|()| self.bring(&board, &pool, &mut fetched));
            if brought.is_err() {
                board.fail();
            }
            let proven = proof.join().unwrap_or(Err(Failure::WorkerLost));
            match (brought, proven) {
                (_, Err(error)) if !matches!(error, Failure::Stopped) => Err(error),
                (Err(error), _) => Err(error),
                (Ok(()), proven) => proven,
            }
        })?;
        fetched.prove(proven, diff_id)?;
        Ok(fetched)
    }

    fn wanted(&self, id: FrameId) -> Result<Wanted<'_>, Failure> {
        self.needs.content(id.entry).ok_or(Failure::Stopped)
    }

    fn chunk(&self, id: FrameId) -> Result<&Chunk, Failure> {
        self.wanted(id)?.chunks.get(id.chunk).ok_or(Failure::Stopped)
    }

    fn damaged(&self, frame: &Frame, source: io::Error) -> Failure {
        let path = self.needs.content(frame.id.entry).map(|wanted| show(&wanted.entry.name));
        Failure::Frame { path: path.unwrap_or_default(), range: frame.range, source }
    }

    /// Asks for what is missing until nothing is. A source that turns out to do less than thought is asked in another way.
    fn bring(&self, board: &Board, pool: &Arc<Pool>, fetched: &mut Fetched) -> Result<(), Failure> {
        let mut fruitless = 0;
        loop {
            let missing = self.needs.missing();
            if missing.is_empty() {
                return Ok(());
            }
            let ranges: Vec<_> = missing.iter().map(|frame| frame.range).collect();
            let plan = plan(&ranges, self.needs.payload(), &self.source.abilities());
            fetched.planned(&plan);
            self.progress.planned(plan.fetched());
            let ended = self.requests(&plan, board, pool);
            let now = self.needs.missing().len();
            fruitless = if now < missing.len() { 0 } else { fruitless + 1 };
            match ended {
                Err(error) if error.class() == Class::Unsupported && fruitless < FRUITLESS_ROUNDS => {
                    fetched.replanned(&error)
                }
                ended => ended?,
            }
        }
    }

    fn requests(&self, plan: &FetchPlan, board: &Board, pool: &Arc<Pool>) -> Result<(), Failure> {
        let first_error = Mutex::new(None);
        let stop = AtomicBool::new(false);
        let keep = |result: Result<(), Failure>| {
            if let Err(error) = result {
                stop.store(true, Ordering::Relaxed);
                first_error.lock().unwrap_or_else(|poison| poison.into_inner()).get_or_insert(error);
            }
        };
        let jobs = self.options.jobs.get();
        let connections = self.source.abilities().parallelism.clamp(1, plan.requests.len().max(1));
        let (send, batches) = bounded(jobs.saturating_mul(2));
        let requests = Mutex::new(plan.requests.iter());
        thread::scope(|scope| {
            for _ in 0..jobs {
                let batches = batches.clone();
                let mut decoder = decode::Decode::new(self, board, pool);
                let (keep, stop) = (&keep, &stop);
                scope.spawn(move || {
                    // After a failure the rest is drained, so that no connection waits for room.
                    for batch in batches {
                        if !stop.load(Ordering::Relaxed) {
                            keep(decoder.batch(batch));
                        }
                    }
                });
            }
            for _ in 0..connections {
                let (send, requests, keep, stop) = (send.clone(), &requests, &keep, &stop);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let request = requests.lock().unwrap_or_else(|poison| poison.into_inner()).next();
                        let Some(request) = request else { return };
                        keep(transfer::run(self, request, board, pool, &send));
                    }
                });
            }
            drop(send);
        });
        match first_error.into_inner().unwrap_or_else(|poison| poison.into_inner()) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}
