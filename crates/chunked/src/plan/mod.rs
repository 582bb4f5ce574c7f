//! Decides how to fetch the missing chunks of a blob: which bytes, in which requests.
//!
//! The decision is pure. [`plan`] weighs four ways against each other by one cost model: nothing at all, the
//! missing ranges, the whole payload in one request, the whole payload in pieces side by side. The bytes count too:
//! bridging gaps between ranges may waste a twentieth of what is needed and no more, and the whole is taken instead of
//! ranges only where that is a tenth faster, or where hardly anything of it is not needed.

mod cost;
mod merge;
mod pack;

use std::fmt;
use std::time::Duration;

use cost::{Cost, Work};
use merge::bridged;
use pack::{Bounds, pack};
use serde::{Serialize, Serializer};

use crate::range::BlobRange;
use crate::source::{Abilities, Ranges};

/// Bytes that bridging gaps may waste, together with the headers of parts: one in so many of the needed ones.
const WASTE_DIVISOR: u64 = 20;
/// What is faster by less, by a model, is not faster: the whole payload is worth more bytes than needed only when it takes
/// at most this share of the time.
const CLEARLY_FASTER: f64 = 0.9;
/// More connections have to save this share of the time.
const WORTH_CONNECTIONS: f64 = 0.05;

/// How to fetch what is missing of a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FetchPlan {
    /// What to ask for, ascending. No byte is asked for twice, and each missing chunk is whole in one range of one request.
    pub requests: Vec<Request>,
    /// How many requests to have under way at once, in their order; 0 when there are none.
    pub connections: usize,
    /// Bytes of the missing chunks.
    pub needed: u64,
    /// Bytes that are fetched and not needed.
    pub wasted: u64,
    /// The way that was chosen.
    pub strategy: Strategy,
    /// How long it should take, by the link as it was known; written in seconds.
    #[serde(rename = "seconds", serialize_with = "in_seconds")]
    pub estimate: Duration,
}

/// The ranges of one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Request {
    /// Ascending, with gaps in between, never empty.
    pub ranges: Vec<BlobRange>,
}

/// The way in which a plan fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Everything is here.
    Nothing,
    /// The missing ranges, merged over small gaps.
    Ranges,
    /// The whole payload in one request.
    Stream,
    /// The whole payload in pieces, several at once. The pieces lie end to end.
    Parallel,
}

/// How whoever asks wants the missing bytes to be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// In the cheapest way.
    #[default]
    Cheapest,
    /// The whole payload in one request.
    Stream,
    /// The whole payload in pieces side by side.
    Parallel,
    /// The missing ranges, one in a request.
    OneRange,
    /// The missing ranges, as many in a request as the source takes.
    ManyRanges,
}

/// Plans as [`plan`] does, but in a way that was asked for, where the source allows it.
pub fn plan_in(way: Way, missing: &[BlobRange], payload: BlobRange, abilities: &Abilities) -> FetchPlan {
    let ranges = match (way, abilities.ranges) {
        (Way::Stream, _) => Ranges::None,
        (Way::OneRange, Ranges::Many { .. }) => Ranges::One,
        (_, ranges) => ranges,
    };
    let abilities = Abilities { ranges, ..*abilities };
    match (way, ranges, Planner::new(missing, payload, &abilities)) {
        (Way::Cheapest | Way::Stream, ..) | (_, Ranges::None, _) | (.., None) => {
            plan(missing, payload, &abilities)
        }
        (Way::Parallel, _, Some(planner)) => planner.parallel(),
        (Way::OneRange | Way::ManyRanges, _, Some(planner)) => planner.ranges(),
    }
}

/// Plans how to fetch the chunks `missing`, which are ascending and disjoint, one range a chunk. `payload` is the part of
/// the blob that a stream would read.
///
/// Requests stay within the bounds of `abilities`. Their number is what the link makes use of: many small ranges share
/// a request where that is possible, long ranges are cut (between chunks) so that connections are evenly loaded.
pub fn plan(missing: &[BlobRange], payload: BlobRange, abilities: &Abilities) -> FetchPlan {
    let Some(planner) = Planner::new(missing, payload, abilities) else { return FetchPlan::nothing() };
    match abilities.ranges {
        Ranges::None => planner.stream(),
        Ranges::One | Ranges::Many { .. } => planner.cheapest(),
    }
}

/// The question, and the ways to answer it.
struct Planner {
    /// Ascending, none empty, at least one.
    chunks: Vec<BlobRange>,
    /// Holds all of `chunks`.
    payload: BlobRange,
    needed: u64,
    cost: Cost,
}

impl Planner {
    /// Puts the question; there is none where nothing is missing.
    fn new(missing: &[BlobRange], payload: BlobRange, abilities: &Abilities) -> Option<Self> {
        let chunks: Vec<BlobRange> = missing.iter().copied().filter(|chunk| !chunk.is_empty()).collect();
        let (first, last) = (chunks.first()?, chunks.last()?);
        let payload = BlobRange::new(payload.start().min(first.start()), payload.end().max(last.end()))
            .unwrap_or(payload);
        Some(Self { payload, needed: total(&chunks), cost: Cost::new(abilities, payload.end()), chunks })
    }

    fn cheapest(&self) -> FetchPlan {
        let ranges = self.ranges();
        let whole = self.whole();
        let is_faster = whole.estimate < ranges.estimate.mul_f64(CLEARLY_FASTER);
        let is_slower = ranges.estimate < whole.estimate.mul_f64(CLEARLY_FASTER);
        let is_frugal = whole.wasted <= self.needed / WASTE_DIVISOR;
        if is_faster || (is_frugal && !is_slower) { whole } else { ranges }
    }

    /// Fetches the missing ranges.
    fn ranges(&self) -> FetchPlan {
        let bridged = bridged(&self.chunks, &self.cost, self.needed / WASTE_DIVISOR);
        let bounds = Bounds { ranges: self.cost.ranges_per_request, range_weight: self.cost.range_weight() };
        let pack = |share| pack(&self.chunks, &bridged, bounds, share);
        let piece_len = self.cost.piece_len(self.cost.connections, self.needed);
        if self.cost.ranges_per_request == 1 {
            return self.plan(
                Strategy::Ranges,
                pack(if self.cost.is_faster_together() { piece_len } else { u64::MAX }),
            );
        }
        let fewest = pack(u64::MAX);
        let (count, weight) = (fewest.len(), bounds.weight(&fewest));
        let spread = (count.saturating_add(1)..=self.cost.connections)
            .map(|connections| pack((weight / connections as u64).saturating_add(1)));
        self.first_of_best(
            std::iter::once(fewest).chain(spread).map(|requests| self.plan(Strategy::Ranges, requests)),
        )
    }

    /// Fetches the whole payload, over as many connections as are worth it.
    fn whole(&self) -> FetchPlan {
        let parallel = (2..=self.cost.connections).map(|connections| self.pieces_over(connections));
        self.first_of_best(std::iter::once(self.stream()).chain(parallel))
    }

    /// Fetches the whole payload over all connections.
    fn parallel(&self) -> FetchPlan {
        self.pieces_over(self.cost.connections)
    }

    fn pieces_over(&self, connections: usize) -> FetchPlan {
        let piece_len = self.cost.piece_len(connections, self.payload.len());
        self.plan(Strategy::Parallel, self.pieces(piece_len))
    }

    fn stream(&self) -> FetchPlan {
        self.plan(Strategy::Stream, vec![Request { ranges: vec![self.payload] }])
    }

    /// Cuts the payload between chunks.
    fn pieces(&self, piece_len: u64) -> Vec<Request> {
        let bridged = vec![true; self.chunks.len().saturating_sub(1)];
        let packed = pack(&self.chunks, &bridged, Bounds { ranges: 1, range_weight: 0 }, piece_len);
        let starts = packed.iter().skip(1).flat_map(|request| &request.ranges).map(BlobRange::start);
        let mut start = self.payload.start();
        let mut pieces = Vec::with_capacity(packed.len());
        for end in starts.chain([self.payload.end()]) {
            pieces.extend(BlobRange::new(start, end).map(|piece| Request { ranges: vec![piece] }));
            start = end;
        }
        pieces
    }

    /// Takes the fastest plan, or an earlier one that is hardly slower.
    fn first_of_best(&self, plans: impl Iterator<Item = FetchPlan>) -> FetchPlan {
        let mut best: Option<FetchPlan> = None;
        for plan in plans {
            match &best {
                Some(best) if plan.estimate >= best.estimate.mul_f64(1.0 - WORTH_CONNECTIONS) => {}
                _ => best = Some(plan),
            }
        }
        best.unwrap_or_else(|| self.stream())
    }

    fn plan(&self, strategy: Strategy, requests: Vec<Request>) -> FetchPlan {
        let work = Work::of(&requests);
        let connections = match strategy {
            // It was chosen, by the model or by somebody, to have many.
            Strategy::Parallel => self.cost.connections.min(requests.len()),
            _ => self.cost.at_once(work),
        };
        FetchPlan {
            needed: self.needed,
            wasted: work.len.saturating_sub(self.needed),
            strategy,
            estimate: self.cost.time(work),
            connections,
            requests,
        }
    }
}

impl FetchPlan {
    /// Plans to fetch nothing.
    pub const fn nothing() -> Self {
        Self {
            requests: Vec::new(),
            connections: 0,
            needed: 0,
            wasted: 0,
            strategy: Strategy::Nothing,
            estimate: Duration::ZERO,
        }
    }

    /// Counts the bytes that are asked for.
    pub fn fetched(&self) -> u64 {
        self.needed.saturating_add(self.wasted)
    }

    /// Counts the ranges of all requests.
    pub fn range_count(&self) -> usize {
        self.requests.iter().map(|request| request.ranges.len()).sum()
    }
}

impl fmt::Display for FetchPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.strategy == Strategy::Nothing {
            return f.write_str("nothing to fetch");
        }
        let Self { needed, wasted, strategy, estimate, requests, connections } = self;
        let (ranges, requests, seconds) = (self.range_count(), requests.len(), estimate.as_secs_f64());
        write!(f, "{strategy}: {needed} bytes needed, {wasted} wasted; ")?;
        write!(f, "{}, {}", Count(ranges, "range"), Count(requests, "request"))?;
        if *connections > 1 {
            write!(f, ", {connections} at once")?;
        }
        write!(f, "; about {seconds:.2} s")
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::Ranges => "ranges",
            Self::Stream => "stream",
            Self::Parallel => "parallel",
        })
    }
}

/// A number of things, in words.
struct Count(usize, &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, name) = self;
        write!(f, "{count} {name}{}", if *count == 1 { "" } else { "s" })
    }
}

fn in_seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

fn total(ranges: &[BlobRange]) -> u64 {
    ranges.iter().fold(0, |sum, range| sum.saturating_add(range.len()))
}

#[cfg(test)]
mod tests;
