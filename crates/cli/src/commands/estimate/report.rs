//! What a pull would cost, in numbers.

use chunked::estimate::{Largest, Shares};
use chunked::plan::{Request, Strategy};
use chunked::{BlobDigest, Link};
use serde::Serialize;

use super::here::Compared;
use crate::machine::peak_memory;

/// The report of an estimate.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    pub(super) image: Image,
    pub(super) compared: Compared,
    /// `None` when nothing is known of it.
    pub(super) link: Option<LinkReport>,
    pub(super) layers: Vec<LayerEstimate>,
    pub(super) total: Total,
    /// Bytes resident at once, at most.
    pub(super) peak_memory: Option<u64>,
}

/// The image that would be pulled.
#[derive(Debug, Serialize)]
pub(super) struct Image {
    /// Its name, as it was given.
    pub(super) name: String,
    pub(super) platform: String,
    pub(super) manifest: BlobDigest,
}

/// The link that the seconds are for.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct LinkReport {
    pub(super) bits_per_second: f64,
    /// Seconds.
    pub(super) round_trip: f64,
    /// Whether it was given, rather than remembered.
    pub(super) is_given: bool,
}

/// What a layer would cost.
#[derive(Debug, Serialize)]
pub(super) struct LayerEstimate {
    pub(super) blob: BlobDigest,
    /// Bytes of the blob.
    pub(super) blob_len: u64,
    #[serde(flatten)]
    pub(super) how: How,
}

/// How a layer would come, in the words of a pull's receipt.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "how")]
pub(super) enum How {
    /// It is here.
    Present,
    /// What is missing would be fetched.
    Parts {
        #[serde(flatten)]
        fetch: Fetch,
        /// Its files, by why they have to be fetched or not.
        shares: Box<Shares>,
        /// The files that take the most.
        largest: Largest,
    },
    /// The blob would be read whole.
    Whole {
        #[serde(flatten)]
        fetch: Fetch,
        /// Why.
        why: String,
    },
}

/// What would be asked for.
#[derive(Debug, Serialize)]
pub(super) struct Fetch {
    pub(super) strategy: Strategy,
    /// Bytes that are read to see what is missing: TOC, tar-split and whatever else leads to them.
    pub(super) metadata: u64,
    /// Compressed bytes of what is missing.
    pub(super) needed: u64,
    /// Compressed bytes that are fetched along the way.
    pub(super) wasted: u64,
    /// All of these.
    pub(super) bytes: u64,
    /// Those for the metadata included.
    pub(super) requests: u64,
    /// `None` when nothing is known of the link.
    pub(super) seconds: Option<f64>,
    /// The requests but those for the metadata: for each its ranges, from the first byte up to the one after the last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) plan: Vec<Request>,
}

/// All layers together.
#[derive(Debug, Default, Serialize)]
pub(super) struct Total {
    /// Bytes of the layers' blobs: what a pull of everything takes.
    pub(super) blob_len: u64,
    pub(super) metadata: u64,
    pub(super) needed: u64,
    pub(super) wasted: u64,
    pub(super) bytes: u64,
    pub(super) requests: u64,
    /// The layers' seconds one after another: they come side by side, but share the link.
    pub(super) seconds: Option<f64>,
    pub(super) shares: Shares,
    pub(super) largest: Largest,
}

impl Report {
    /// Counts together, and fills in what the process took.
    pub(super) fn new(
        image: Image,
        compared: Compared,
        layers: Vec<LayerEstimate>,
        link: Option<LinkReport>,
    ) -> Self {
        let mut total = Total { seconds: link.map(|_| 0.0), ..Total::default() };
        layers.iter().for_each(|layer| total.add(layer));
        Self { image, compared, link, layers, total, peak_memory: peak_memory() }
    }

    /// Leaves the single requests out.
    pub(super) fn forget_plans(&mut self) {
        let fetches = self.layers.iter_mut().filter_map(|layer| layer.how.fetch_mut());
        fetches.for_each(|fetch| fetch.plan = Vec::new());
    }
}

impl LinkReport {
    pub(super) fn new(link: &Link, is_given: bool) -> Self {
        let bits_per_second = link.bandwidth * 8.0;
        Self { bits_per_second, round_trip: link.round_trip.as_secs_f64(), is_given }
    }
}

impl How {
    /// Returns what would be asked for; `None` when nothing would.
    pub(super) fn fetch(&self) -> Option<&Fetch> {
        match self {
            Self::Present => None,
            Self::Parts { fetch, .. } | Self::Whole { fetch, .. } => Some(fetch),
        }
    }

    fn fetch_mut(&mut self) -> Option<&mut Fetch> {
        match self {
            Self::Present => None,
            Self::Parts { fetch, .. } | Self::Whole { fetch, .. } => Some(fetch),
        }
    }
}

impl Total {
    fn add(&mut self, layer: &LayerEstimate) {
        self.blob_len = self.blob_len.saturating_add(layer.blob_len);
        let Some(fetch) = layer.how.fetch() else { return };
        for (sum, part) in [
            (&mut self.metadata, fetch.metadata),
            (&mut self.needed, fetch.needed),
            (&mut self.wasted, fetch.wasted),
            (&mut self.bytes, fetch.bytes),
            (&mut self.requests, fetch.requests),
        ] {
            *sum = sum.saturating_add(part);
        }
        self.seconds = self.seconds.zip(fetch.seconds).map(|(sum, seconds)| sum + seconds);
        if let How::Parts { shares, largest, .. } = &layer.how {
            self.shares.merge(shares);
            self.largest.merge(largest);
        }
    }
}
