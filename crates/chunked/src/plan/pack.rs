//! Packs ranges into requests.

use super::Request;
use crate::range::BlobRange;

/// What a request may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Ranges, at least 1.
    pub(super) ranges: usize,
    /// What a range weighs beside its bytes.
    pub(super) range_weight: u64,
}

impl Bounds {
    /// Weighs requests.
    pub(super) fn weight(&self, requests: &[Request]) -> u64 {
        let ranges = requests.iter().flat_map(|request| &request.ranges);
        ranges.fold(0, |sum, range| sum.saturating_add(self.range_weight).saturating_add(range.len()))
    }
}

/// Packs `chunks` into requests of about the weight `share`. A chunk joins the range of the one before it where the gap
/// between them is `bridged` and both are in one request.
pub(super) fn pack(chunks: &[BlobRange], bridged: &[bool], bounds: Bounds, share: u64) -> Vec<Request> {
    let mut requests = Vec::new();
    let mut open = Open::default();
    let mut weight: u64 = 0;
    let bridged = std::iter::once(false).chain(bridged.iter().copied());
    for (&chunk, joins) in chunks.iter().zip(bridged) {
        let cell = match joins {
            true => chunk.end().saturating_sub(open.end()),
            false => chunk.len().saturating_add(bounds.range_weight),
        };
        // The middle of the chunk decides, so that the shares are as even as the chunks allow.
        let number = weight.saturating_add(cell / 2) / share.max(1);
        weight = weight.saturating_add(cell);
        if open.share != number || !(joins || open.ranges.len() < bounds.ranges) {
            requests.extend(std::mem::take(&mut open).close());
            open.share = number;
        }
        open.add(chunk, joins);
    }
    requests.extend(open.close());
    requests
}

/// A request that is being filled.
#[derive(Debug, Default)]
struct Open {
    ranges: Vec<BlobRange>,
    /// The number of its share.
    share: u64,
}

impl Open {
    fn end(&self) -> u64 {
        self.ranges.last().map_or(0, BlobRange::end)
    }

    fn add(&mut self, chunk: BlobRange, joins: bool) {
        match self.ranges.last_mut().filter(|_| joins) {
            Some(last) => *last = BlobRange::new(last.start(), chunk.end()).unwrap_or(*last),
            None => self.ranges.push(chunk),
        }
    }

    fn close(self) -> Option<Request> {
        (!self.ranges.is_empty()).then_some(Request { ranges: self.ranges })
    }
}
