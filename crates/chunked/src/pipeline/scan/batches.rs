//! What the scanner hands out: steps in batches, and frames that are still growing.

use crossbeam_channel::{Receiver, Sender, bounded};

use super::{Flow, Stop};
use crate::entry::ChunkKind;
use crate::pipeline::giant::{GIANT_LEN, Giant};
use crate::pipeline::purpose::Purpose;
use crate::pipeline::slab::Stretch;
use crate::pipeline::steps::{Batch, EncodedBatch, Framed, Step};
use crate::pipeline::work::Job;

/// Tar bytes that make a batch worth sending: enough to keep the queues' cost small, few enough for a core's cache.
const BATCH_LEN: usize = 1 << 20;

/// Steps on their way to the workers.
pub(super) struct Batches {
    batch: Batch,
    weight: usize,
    jobs: Sender<Job>,
    order: Sender<Receiver<EncodedBatch>>,
}

impl Batches {
    pub(super) fn new(jobs: Sender<Job>, order: Sender<Receiver<EncodedBatch>>) -> Self {
        Self { batch: Batch::default(), weight: 0, jobs, order }
    }

    /// Adds a step that used up `weight` bytes of tar. Weighing anything else could keep slabs from coming home.
    pub(super) fn push(&mut self, step: Step, weight: usize) -> Flow<()> {
        self.batch.steps.push(step);
        self.weight = self.weight.saturating_add(weight);
        if self.weight < BATCH_LEN { Ok(()) } else { self.flush() }
    }

    /// Compresses what is settled of a frame that has become too long to hold.
    pub(super) fn grow(&mut self, open: &mut Open, settled: usize, purpose: &Purpose<'_>) -> Flow<()> {
        if open.giant.is_none() && settled <= GIANT_LEN {
            return Ok(());
        }
        let giant = open.giant.get_or_insert_with(|| Box::new(Giant::new(purpose)));
        let before = open.bytes.len();
        let encoded = giant.grow(&mut open.bytes, settled)?;
        self.push(Step::Encoded(encoded), before.saturating_sub(open.bytes.len()))
    }

    /// Ends a frame, which is a chunk if it has a kind.
    pub(super) fn end(&mut self, open: Open, kind: Option<ChunkKind>, purpose: &Purpose<'_>) -> Flow<()> {
        let Open { bytes, giant } = open;
        let weight = bytes.len();
        let giant = match giant {
            None if weight <= GIANT_LEN => {
                let step = match kind {
                    Some(kind) => Step::Chunk(bytes, kind),
                    None => Step::Frame(bytes),
                };
                return self.push(step, weight);
            }
            None => Giant::new(purpose),
            Some(giant) => *giant,
        };
        let (encoded, len, digest) = giant.finish(bytes)?;
        self.push(Step::Encoded(encoded), weight)?;
        self.push(Step::EncodedFrame(Framed { len, chunk: kind.map(|kind| (kind, digest)) }), 0)
    }

    pub(super) fn flush(&mut self) -> Flow<()> {
        self.weight = 0;
        let (reply, encoded) = bounded(1);
        let job = Job { batch: std::mem::take(&mut self.batch), reply };
        self.jobs.send(job).map_err(|_| Stop::OtherStage)?;
        self.order.send(encoded).map_err(|_| Stop::OtherStage)
    }
}

/// A frame that is still growing: its bytes, or if it became giant those that are not compressed yet.
#[derive(Default)]
pub(super) struct Open {
    pub(super) bytes: Stretch,
    pub(super) giant: Option<Box<Giant>>,
}
