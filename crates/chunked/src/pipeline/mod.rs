//! Reads a layer once, as a stream, and takes it apart on all cores.
//!
//! ```text
//!  input ──> intake ──slabs──> scan ──batches──> work (jobs threads) ──in order──> whoever puts them together
//!                └──slabs──> DiffID     └──long contents──> sink          └──contents──> sink
//! ```
//!
//! *Intake* decompresses into slabs of a megabyte, *scan* walks the tar and decides where frames are cut, *work* hashes
//! batches, compresses and checks them for a blob, and hands contents to a store. What a layer is taken apart for is its
//! [`Purpose`]; where cuts lie depends on the tar alone.

mod giant;
mod intake;
mod listing;
mod metadata;
mod purpose;
mod reason;
mod scan;
mod sink;
mod slab;
mod steps;
mod tree;
mod work;

use std::io::Read;
use std::num::NonZeroUsize;
use std::thread::{self, ScopedJoinHandle};

use crossbeam_channel::{Receiver, bounded};

pub use listing::Counts;
pub(crate) use listing::{Listed, Listing};
pub(crate) use metadata::{Compressed, Documents};
pub(crate) use purpose::Purpose;
pub use purpose::SelfCheck;
pub use reason::PlainReason;
pub use sink::{ContentSink, StagedContent};
pub(crate) use steps::EncodedBatch;
pub use tree::Misplaced;

use crate::digest::DiffId;
use crate::error::Error;
use crate::input::Compression;
use crate::limits::Limits;
use slab::{Pool, SLAB_LEN};

/// Fewest slabs that every stage can make progress with. The scanner holds at most, in slabs: a batch (2, of less than one
/// batch and one file), an open frame (6, of 4 MiB and a file's worth), what it looks ahead (3), and plain frames (5).
const FEWEST_SLABS: usize = 24;

/// How to run the pipeline.
pub(crate) struct Setup<'a> {
    pub(crate) purpose: Purpose<'a>,
    /// Threads that work; reading, hashing and putting together have threads of their own.
    pub(crate) jobs: NonZeroUsize,
    /// Bytes of tar held between the stages.
    pub(crate) memory: usize,
    pub(crate) limits: &'a Limits,
}

/// What a run found and made.
pub(crate) struct Finished<T> {
    pub(crate) compression: Compression,
    pub(crate) diff_id: DiffId,
    pub(crate) tar_len: u64,
    pub(crate) product: T,
}

/// Batches in the order of the tar. They end early when a stage has failed.
pub(crate) struct Batches(Receiver<Receiver<EncodedBatch>>);

impl Iterator for Batches {
    type Item = EncodedBatch;

    fn next(&mut self) -> Option<EncodedBatch> {
        self.0.recv().ok()?.recv().ok()
    }
}

/// Takes a layer apart, plain or compressed with gzip or zstd; `assemble` puts the batches together, `None` when they end
/// before the last one. `watch` is shown what is read.
pub(crate) fn run<T>(
    input: impl Read + Send,
    watch: impl FnMut(&[u8]) + Send,
    setup: &Setup<'_>,
    assemble: impl FnOnce(Batches) -> Result<Option<T>, Error>,
) -> Result<Finished<T>, Error> {
    let slabs = FEWEST_SLABS.max(setup.memory / SLAB_LEN);
    let (slab_out, slab_in) = bounded(slabs);
    let (hash_out, hash_in) = bounded(slabs);
    let (job_out, job_in) = bounded(slabs);
    let (order_out, order_in) = bounded(slabs);
    thread::scope(|scope| {
        let pool = Pool::new(slabs);
        let intake = scope.spawn(move || intake::run(input, watch, pool, slab_out, hash_out));
        let hashing = scope.spawn(move || intake::hash(hash_in));
        let scan = scope.spawn(move || scan::run(slab_in, job_out, order_out, setup));
        let worker = |_| {
            let jobs = job_in.clone();
            scope.spawn(move || work::run(&jobs, setup.purpose))
        };
        let workers: Vec<_> = (0..setup.jobs.get()).map(worker).collect();
        drop(job_in);
        let assembled = assemble(Batches(order_in));

        // A stage that fails makes the others stop without a failure of their own.
        let compression = join(intake)?;
        join(scan)?;
        workers.into_iter().try_for_each(join)?;
        let (diff_id, tar_len) = hashing.join().map_err(|_| Error::WorkerLost)?;
        let product = assembled?.ok_or(Error::WorkerLost)?;
        Ok(Finished { compression, diff_id, tar_len, product })
    })
}

fn join<T>(stage: ScopedJoinHandle<'_, Result<T, Error>>) -> Result<T, Error> {
    stage.join().unwrap_or(Err(Error::WorkerLost))
}
