//! Reads a layer once, as a stream, and takes it apart on all cores.
//!
//! ```text
//!  input ──> intake ──slabs──> scan ──batches──> work (jobs threads) ──in order──> whoever puts them together
//!                                └──everything──> serial ──digests of long files──────────┘
//! ```
//!
//! *Intake* decompresses into slabs of a megabyte, *scan* walks the tar and decides where frames are cut, *work* hashes
//! batches, compresses and checks them for a blob, and hands contents to a store. *Serial* hashes the tar and does for
//! long files what cannot be shared out. What a layer is taken apart for is its [`Purpose`]; where cuts lie depends on
//! the tar alone.

mod giant;
mod intake;
mod listing;
mod metadata;
mod purpose;
mod reason;
mod scan;
mod serial;
mod sink;
mod slab;
mod steps;
mod sums;
mod tree;
mod work;

use std::io::Read;
use std::num::NonZeroUsize;
use std::thread::{self, ScopedJoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

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
    /// Threads that work; the other stages have one of their own.
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
    let (serial_out, serial_in) = bounded(slabs);
    let (job_out, job_in) = bounded(slabs);
    let (order_out, order_in) = bounded(slabs);
    let (raise, alarm) = bounded(1);
    let raise = &raise;
    thread::scope(|scope| {
        let pool = Pool::new(slabs, alarm);
        let intake = scope.spawn(move || intake::run(input, watch, pool, slab_out));
        let serial = scope.spawn(move || alarmed(raise, || serial::run(serial_in)));
        let scan =
            scope.spawn(move || alarmed(raise, || scan::run(slab_in, serial_out, job_out, order_out, setup)));
        let worker = |_| {
            let jobs = job_in.clone();
            scope.spawn(move || alarmed(raise, || work::run(&jobs, setup.purpose)))
        };
        let workers: Vec<_> = (0..setup.jobs.get()).map(worker).collect();
        drop(job_in);
        let assembled = alarmed(raise, || assemble(Batches(order_in)));

        // A stage that fails makes the others stop without a failure of their own.
        let compression = join(intake)?;
        join(scan)?;
        workers.into_iter().try_for_each(join)?;
        let (diff_id, tar_len) = join(serial)?;
        let product = assembled?.ok_or(Error::WorkerLost)?;
        Ok(Finished { compression, diff_id, tar_len, product })
    })
}

/// Runs a stage, and raises the alarm unless it succeeds. Without, the others could wait for slabs that lie in the queues
/// of a stage that is gone.
fn alarmed<T>(raise: &Sender<()>, stage: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let alarm = Alarm(raise);
    let result = stage();
    if result.is_ok() {
        std::mem::forget(alarm);
    }
    result
}

/// Raised when it is dropped, by a panic as well.
struct Alarm<'a>(&'a Sender<()>);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        let _ = self.0.try_send(());
    }
}

fn join<T>(stage: ScopedJoinHandle<'_, Result<T, Error>>) -> Result<T, Error> {
    stage.join().unwrap_or(Err(Error::WorkerLost))
}
