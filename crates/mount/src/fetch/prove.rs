//! Verifies what is complete: whole files, and whole layers.

use std::sync::Arc;

use chunked::Class as Meaning;
use crossbeam_channel::RecvTimeoutError;
use store::fetch::Options;
use store::pull;

use super::held::{Completed, Held};
use super::layer::{Layer, Verdict};
use super::{Fetcher, Ripe, TICK};
use crate::quarantine;

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
        while !self.is_stopped() {
            match self.ripe.1.recv_timeout(TICK) {
                Ok(Ripe::File(held)) => self.complete(&held),
                Ok(Ripe::Layer(layer)) => self.judge(&layer),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn complete(&self, held: &Held<'s>) {
        match held.complete(self.store) {
            Ok(Completed::Object) => self.counters.object(),
            Ok(Completed::Damaged | Completed::Contradiction) => self.counters.wrong_chunk(),
            Ok(Completed::No) => {}
            Err(failure) => self.events.read_failed(&held.content.digest, &failure),
        }
    }

    fn judge(&self, layer: &Layer) {
        let options = Options { memory: 4 << 20, ..Options::default() };
        match pull::prove(self.store, layer.record(), &options) {
            Ok(record) => {
                self.counters.proven();
                layer.judge(Verdict::Done(record.state));
                self.events.proven(&record);
            }
            Err(error) if error.class() == Meaning::Corrupt => {
                let why = crate::error::chain(&error);
                self.counters.quarantined();
                if let Err(error) = quarantine::put(self.store.path(), layer.record(), &why) {
                    self.events.layer_failed(layer.record(), &error.into());
                }
                self.events.quarantined(layer.record(), &why);
                layer.judge(Verdict::Quarantined(why));
            }
            // Something went away meanwhile, or the disk is full.
            Err(error) => {
                layer.judge(Verdict::Incomplete);
                self.put_off(layer, &error.into());
            }
        }
    }
}
