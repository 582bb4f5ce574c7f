//! Verifies what is complete: whole files, and whole layers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chunked::Class;
use store::fetch::Options;
use store::{LayerRecord, pull};

use super::held::{Completed, Held};
use super::layer::{Layer, Verdict};
use super::{Failure, Fetcher, Ripe, TICK};
use crate::quarantine;

/// How long a layer that was proven waits for others to be put on disk with. Not for long: what is written early is written
/// while something else is computed.
const TOGETHER: Duration = Duration::from_millis(100);

impl<'s> Fetcher<'s> {
    /// Has a content verified as a whole if all its chunks are here.
    pub(super) fn ripen(&self, held: &Arc<Held<'s>>) {
        if held.is_ripe() {
            let _ = self.ripe.0.send(Ripe::File(Arc::clone(held)));
        }
    }

    /// Has a layer proven.
    pub(super) fn prove(&self, layer: &Arc<Layer>) {
        let _ = self.ripe.0.send(Ripe::Layer(Arc::clone(layer)));
    }

    /// Verifies one after another.
    pub(super) fn verify(&self) {
        let mut proven = Proven::default();
        while !self.is_stopped() {
            let ripe = match proven.0.is_empty() {
                true => self.ripe.1.recv_timeout(TICK).ok(),
                false => self.ripe.1.try_recv().ok(),
            };
            let is_over = ripe.is_none();
            match ripe {
                Some(Ripe::File(held)) => self.complete(&held),
                Some(Ripe::Layer(layer)) => self.judge(layer, &mut proven),
                None => {}
            }
            if is_over || proven.is_due() {
                self.settle(&mut proven);
            }
        }
        self.settle(&mut proven);
    }

    fn complete(&self, held: &Held<'s>) {
        match held.complete(self.store) {
            Ok(Completed::Object) => self.counters.object(),
            Ok(Completed::Damaged | Completed::Contradiction) => self.counters.wrong_chunk(),
            Ok(Completed::No) => {}
            Err(failure) => self.events.read_failed(&held.content.digest, &failure),
        }
    }

    fn judge(&self, layer: Arc<Layer>, proven: &mut Proven) {
        let options = Options { memory: 4 << 20, ..Options::default() };
        match pull::prove(self.store, layer.record(), &options) {
            Ok(record) => proven.0.push((Instant::now(), layer, record)),
            Err(error) if error.class() == Class::Corrupt => {
                let why = crate::error::chain(&error);
                self.counters.quarantined();
                if let Err(error) = quarantine::put(self.store.path(), layer.record(), &why) {
                    self.events.layer_failed(layer.record(), &error.into());
                }
                self.events.quarantined(layer.record(), &why);
                layer.judge(Verdict::Quarantined(why));
            }
            Err(error) => self.take_back(&layer, &error.into()),
        }
    }

    /// Puts proven layers on disk, and says that they are.
    fn settle(&self, proven: &mut Proven) {
        if proven.0.is_empty() {
            return;
        }
        let records: Vec<_> = proven.0.iter().map(|(.., record)| record.clone()).collect();
        let settled = pull::settle(self.store, &records).map_err(Failure::from);
        for (_, layer, record) in proven.0.drain(..) {
            match &settled {
                Ok(()) => {
                    self.counters.proven();
                    layer.judge(Verdict::Done(record.state));
                    self.events.proven(&record);
                }
                Err(failure) => self.take_back(&layer, failure),
            }
        }
    }

    /// Has a layer filled in and proven again: something went away meanwhile, or the disk is full.
    fn take_back(&self, layer: &Layer, failure: &Failure) {
        layer.judge(Verdict::Incomplete);
        self.put_off(layer, failure);
    }
}

/// Layers whose tar is right, and when that was found. One sync is for all of them, as each waits for the disk.
#[derive(Default)]
struct Proven(Vec<(Instant, Arc<Layer>, LayerRecord)>);

impl Proven {
    /// Tells whether the first has waited for others long enough.
    fn is_due(&self) -> bool {
        self.0.first().is_some_and(|(found, ..)| found.elapsed() > TOGETHER)
    }
}
