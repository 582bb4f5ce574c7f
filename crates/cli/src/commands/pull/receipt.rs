//! What a pull did, in numbers.

use chunked::{BlobDigest, Traffic};
use serde::Serialize;
use store::fetch::FromSeed;
use store::pull::{How, LayerReport, Task};
use store::{LayerRecord, LayerState, Store};

use super::image::Image;
use crate::machine::peak_memory;

/// The report of a pull.
#[derive(Debug, Serialize)]
pub(super) struct Receipt {
    pub(super) images: Vec<ImageReceipt>,
    pub(super) layers: Vec<LayerReceipt>,
    pub(super) total: Total,
    /// Where the store is.
    pub(super) store: String,
    /// Bytes resident at once, at most.
    pub(super) peak_memory: Option<u64>,
}

/// An image of a pull.
#[derive(Debug, Serialize)]
pub(super) struct ImageReceipt {
    /// The name it has in the store.
    pub(super) name: String,
    pub(super) platform: String,
    pub(super) manifest: BlobDigest,
    /// The blobs of its layers, the lowest first.
    pub(super) layers: Vec<BlobDigest>,
}

/// A layer of a pull.
#[derive(Debug, Serialize)]
pub(super) struct LayerReceipt {
    pub(super) state: LayerState,
    #[serde(flatten)]
    pub(super) report: LayerReport,
}

/// All layers together.
#[derive(Debug, Default, Serialize)]
pub(super) struct Total {
    /// Bytes of the layers' blobs: what a pull of everything takes.
    pub(super) blob_len: u64,
    pub(super) traffic: Traffic,
    /// Compressed bytes of what was missing, metadata left out.
    pub(super) needed: u64,
    /// Compressed bytes that were fetched along the way.
    pub(super) wasted: u64,
    /// Bytes of content that were here.
    pub(super) reused: u64,
    /// What came from seeds, by seed.
    pub(super) seeds: Vec<FromSeed>,
    /// Seconds until the last layer was in the store.
    pub(super) seconds: f64,
}

impl Receipt {
    pub(super) fn of(
        images: &[Image<'_>],
        tasks: &[Task<'_>],
        layers: &[(LayerRecord, LayerReport)],
        store: &Store,
    ) -> Self {
        let of_image = |image: &Image<'_>| ImageReceipt {
            name: image.name(),
            platform: image.platform(),
            manifest: image.manifest(),
            layers: image.layers().map(|(layer, _)| layer.digest).collect(),
        };
        debug_assert_eq!(tasks.len(), layers.len(), "every task has a report");
        let receipts: Vec<_> = layers
            .iter()
            .map(|(record, report)| LayerReceipt { state: record.state, report: report.clone() })
            .collect();
        let mut total = Total::default();
        for layer in &receipts {
            total.add(&layer.report);
        }
        Self {
            images: images.iter().map(of_image).collect(),
            layers: receipts,
            total,
            store: store.path().display().to_string(),
            peak_memory: peak_memory(),
        }
    }
}

impl Total {
    fn add(&mut self, layer: &LayerReport) {
        let Traffic { requests, retries, bytes } = layer.traffic;
        self.blob_len = self.blob_len.saturating_add(layer.blob_len);
        self.traffic.requests = self.traffic.requests.saturating_add(requests);
        self.traffic.retries = self.traffic.retries.saturating_add(retries);
        self.traffic.bytes = self.traffic.bytes.saturating_add(bytes);
        self.seconds = self.seconds.max(layer.seconds);
        match &layer.how {
            How::Parts(fetched) => {
                self.needed = self.needed.saturating_add(fetched.needed);
                self.wasted = self.wasted.saturating_add(fetched.wasted);
                self.reused = self.reused.saturating_add(fetched.reused.bytes());
                fetched.reused.seeds.iter().for_each(|from| self.add_seed(from));
            }
            How::Whole { .. } => self.needed = self.needed.saturating_add(layer.blob_len),
            How::Present => {}
        }
    }

    fn add_seed(&mut self, from: &FromSeed) {
        match self.seeds.iter_mut().find(|known| known.seed == from.seed) {
            Some(known) => known.add(from),
            None => self.seeds.push(from.clone()),
        }
    }
}
