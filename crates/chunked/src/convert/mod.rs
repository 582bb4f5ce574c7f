//! Turns a layer's tar into a zstd:chunked blob, on all cores, with the same bytes every time.
//!
//! ```text
//!  input ──> intake ──slabs──> scan ──batches──> encode (jobs threads) ──in order──> assemble ──> output
//!                └──slabs──> DiffID
//! ```
//!
//! *Intake* decompresses into slabs of a megabyte, *scan* walks the tar and decides where frames are cut, *encode*
//! compresses, hashes and checks them, *assemble* puts them in order and writes TOC, tar-split and footer. Where cuts lie
//! depends on the tar alone, so neither the number of threads nor the input's compression changes a byte.
//!
//! Every prefix of the blob is plain zstd of a prefix of the tar. A layer that turns out, however late, not to be
//! expressible as a TOC therefore just gets no TOC: see [`PlainReason`].

mod assemble;
mod check;
mod encode;
mod giant;
mod intake;
mod metadata;
mod report;
mod scan;
mod slab;
mod steps;
mod tree;

use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::thread::{self, ScopedJoinHandle};

use crossbeam_channel::bounded;

pub use crate::frame::Level;
pub use report::{Converted, Counts, Outcome, PlainReason, SelfCheck, Source};
pub use tree::Misplaced;

use crate::error::Error;
use crate::limits::Limits;
use assemble::Assembled;
use slab::{Pool, SLAB_LEN};

/// Fewest slabs that every stage can make progress with. The scanner holds at most, in slabs: a batch (2, of less than one
/// batch and one file), an open frame (6, of 4 MiB and a file's worth), what it looks ahead (3), and plain frames (5).
const FEWEST_SLABS: usize = 24;

/// How to convert. None of these but `level` and, for extraordinary layers, `limits` changes the blob.
#[derive(Debug, Clone)]
pub struct Options {
    /// How hard to compress the frames.
    pub level: Level,
    /// Threads that compress; reading, hashing and writing have threads of their own.
    pub jobs: NonZeroUsize,
    /// Bytes of tar held between the stages, at least 24 MiB. Compressed frames, the compressed TOC and the contexts of
    /// zstd come on top.
    pub memory: usize,
    /// Whether every frame is decoded again and compared, and TOC and tar-split read back and compared.
    pub self_check: SelfCheck,
    /// Bounds on what the tar may ask for.
    pub limits: Limits,
}

impl Default for Options {
    /// Level 3, as many jobs as there are processors, 64 MiB, self-check on.
    fn default() -> Self {
        Self {
            level: Level::default(),
            jobs: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            memory: 64 << 20,
            self_check: SelfCheck::On,
            limits: Limits::default(),
        }
    }
}

/// Is told how far a conversion is.
pub trait Progress: Sync {
    /// `blob_len` more bytes of the input, as it is compressed, have been read.
    fn read(&self, blob_len: u64);
}

/// Ignores progress.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn read(&self, _: u64) {}
}

/// Converts the layer that `input` yields, plain or compressed with gzip or zstd, and writes the blob to `output`.
///
/// # Errors
/// When the input is damaged ([`Class::Corrupt`](crate::Class)), when reading or writing fails, or when the self-check
/// finds that the blob does not say what the tar says. What was written by then is to be thrown away.
pub fn convert(
    input: impl Read + Send,
    output: impl Write,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Converted, Error> {
    let slabs = FEWEST_SLABS.max(options.memory / SLAB_LEN);
    let (slab_out, slab_in) = bounded(slabs);
    let (hash_out, hash_in) = bounded(slabs);
    let (job_out, job_in) = bounded(slabs);
    let (order_out, order_in) = bounded(slabs);
    thread::scope(|scope| {
        let pool = Pool::new(slabs);
        let intake = scope.spawn(move || intake::run(input, pool, slab_out, hash_out, progress));
        let hashing = scope.spawn(move || intake::hash(hash_in));
        let scan = scope.spawn(move || scan::run(slab_in, job_out, order_out, options));
        let encoder = |_| {
            let jobs = job_in.clone();
            scope.spawn(move || encode::run(&jobs, options.level, options.self_check))
        };
        let encoders: Vec<_> = (0..options.jobs.get()).map(encoder).collect();
        drop(job_in);
        let assembled = assemble::run(order_in, output, options);

        // A stage that fails makes the others stop without a failure of their own.
        let source = join(intake)?;
        join(scan)?;
        encoders.into_iter().try_for_each(join)?;
        let (diff_id, tar_len) = hashing.join().map_err(|_| Error::WorkerLost)?;
        let Assembled { outcome, blob_digest, blob_len, tar_len: framed_len, counts } =
            assembled?.ok_or(Error::WorkerLost)?;
        if framed_len != tar_len {
            return Err(Error::SelfCheck { what: "length of the tar", source: None });
        }
        let self_check = options.self_check;
        Ok(Converted { outcome, blob_digest, blob_len, diff_id, tar_len, source, counts, self_check })
    })
}

fn join<T>(stage: ScopedJoinHandle<'_, Result<T, Error>>) -> Result<T, Error> {
    stage.join().unwrap_or(Err(Error::WorkerLost))
}
