//! What the layers of an image would cost.

use std::collections::HashSet;

use chunked::estimate::Estimator;
use chunked::plan::{FetchPlan, plan};
use chunked::{Abilities, BlobRange, ChunkedLayer, Layer, Link, Ranges, Traffic};
use registry::blob::Blob;
use registry::{ImageSource, Instance, hosts};
use store::fetch::in_parts;

use super::here::{Content, Here};
use super::open::{self, Opened};
use super::report::{Fetch, How, LayerEstimate};

/// Estimates layer by layer, and holds only a few at a time.
pub(super) struct Layers<'a> {
    source: &'a dyn ImageSource,
    content: &'a Content,
    estimator: Estimator<'a, Content>,
    /// The link that was given.
    given: Option<Link>,
    /// The link that was planned with last, if it is known.
    used: Option<Link>,
}

impl<'a> Layers<'a> {
    pub(super) fn new(source: &'a dyn ImageSource, here: &'a Here, given: Option<Link>) -> Self {
        let estimator = Estimator::new(&here.content, &here.paths);
        Self { source, content: &here.content, estimator, given, used: given }
    }

    /// Estimates each layer once, the lowest first. Returns them with the link that they were planned for, if it is known.
    pub(super) fn all(mut self, instance: &Instance) -> anyhow::Result<(Vec<LayerEstimate>, Option<Link>)> {
        let mut layers = Vec::new();
        let mut missing = Vec::new();
        let mut seen = HashSet::new();
        for (descriptor, diff_id) in instance.layers().filter(|(layer, _)| seen.insert(layer.digest)) {
            if !self.content.has_layer(descriptor, diff_id.as_ref())? {
                missing.push(descriptor);
            }
            layers.push(LayerEstimate {
                blob: descriptor.digest,
                blob_len: descriptor.len,
                how: How::Present,
            });
        }
        open::each(self.source, &missing, |descriptor, opened| {
            let how = self.one(&opened)?;
            if let Some(layer) = layers.iter_mut().find(|layer| layer.blob == descriptor.digest) {
                layer.how = how;
            }
            Ok(())
        })?;
        Ok((layers, self.used))
    }

    fn one(&mut self, opened: &Opened<'_>) -> anyhow::Result<How> {
        let blob = &*opened.blob;
        let abilities = self.abilities(blob);
        match &opened.layer {
            Layer::Plain { why } => Ok(whole(blob, &abilities, why.to_string())),
            Layer::Chunked(layer) => match in_parts(layer) {
                Ok(()) => self.parts(blob, layer, &abilities),
                Err(why) => Ok(whole(blob, &abilities, why.to_string())),
            },
        }
    }

    fn parts(&mut self, blob: &dyn Blob, layer: &ChunkedLayer, abilities: &Abilities) -> anyhow::Result<How> {
        let estimate = self.estimator.layer(layer, abilities)?;
        let opening = opening(blob, estimate.metadata_len);
        let fetch = fetch(estimate.plan, opening, &abilities.link);
        Ok(How::Parts { fetch, shares: Box::new(estimate.shares), largest: estimate.largest })
    }

    /// Says what the pull would plan with. Where there is no network, a link that was given leads to a host that is taken to
    /// do what most do.
    fn abilities(&mut self, blob: &dyn Blob) -> Abilities {
        let abilities = blob.abilities();
        match self.given {
            Some(link) if abilities == Abilities::LOCAL => Abilities { link, ..hosts::unknown() },
            Some(link) => Abilities { link, ..abilities },
            None => {
                self.used = Some(abilities.link).filter(|link| link.is_known);
                abilities
            }
        }
    }
}

fn whole(blob: &dyn Blob, abilities: &Abilities, why: String) -> How {
    let range = BlobRange::saturating(0, blob.blob_len());
    let plan = plan(&[range], range, &Abilities { ranges: Ranges::None, ..*abilities });
    How::Whole { why, fetch: fetch(plan, blob.traffic(), &abilities.link) }
}

/// Returns what it takes to read the metadata: what it took just now, or where nobody counts, one request.
fn opening(blob: &dyn Blob, metadata_len: u64) -> Traffic {
    let Traffic { requests, bytes, .. } = blob.traffic();
    Traffic { requests: requests.max(1), retries: 0, bytes: bytes.max(metadata_len) }
}

fn fetch(plan: FetchPlan, opening: Traffic, link: &Link) -> Fetch {
    let waits = link.round_trip.mul_f64(opening.requests as f64).as_secs_f64();
    let seconds = waits + opening.bytes as f64 / link.bandwidth.max(1.0) + plan.estimate.as_secs_f64();
    let requests = opening.requests.saturating_add(plan.requests.len() as u64);
    Fetch {
        strategy: plan.strategy,
        metadata: opening.bytes,
        needed: plan.needed,
        wasted: plan.wasted,
        bytes: plan.fetched().saturating_add(opening.bytes),
        requests,
        seconds: link.is_known.then_some(seconds),
        plan: plan.requests,
    }
}
