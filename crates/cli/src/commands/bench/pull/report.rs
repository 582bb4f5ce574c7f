//! What was measured.

use serde::Serialize;

use super::contender::{About, Pulled, Receipt};
use super::images::Image;
use super::plan::{Case, Phase};
use super::stage::Asked;
use super::verdict::Verdict;
use super::watch::Seen;
use crate::commands::bench::spread::Spread;
use crate::machine::Machine;

/// The report of a bench.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) new: Image,
    /// The image that updates begin with.
    pub(crate) old: Option<Image>,
    pub(crate) links: Vec<String>,
    /// What the registry makes of requests for ranges; `None` where it is not ours.
    pub(crate) ranges: Option<&'static str>,
    pub(crate) contenders: Vec<About>,
    /// Pulls of each kind.
    pub(crate) rounds: u32,
    /// What keeps numbers from being what they could be, and what was left out.
    pub(crate) notes: Vec<String>,
    /// What follows from it.
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) summaries: Vec<Summary>,
    pub(crate) runs: Vec<Run>,
}

impl Report {
    /// Returns the pulls of a kind, by contender.
    pub(super) fn rows(&self, link: usize, phase: Phase) -> impl Iterator<Item = &Summary> {
        self.summaries.iter().filter(move |row| (row.link, row.phase) == (link, phase))
    }

    /// Returns what a contender is called.
    pub(super) fn name(&self, contender: usize) -> &str {
        self.contenders.get(contender).map_or("", |about| &about.name)
    }

    /// Tells whether files are there after a contender pulled.
    pub(super) fn unpacks(&self, contender: usize) -> bool {
        self.contenders.get(contender).is_some_and(|about| about.unpacks)
    }

    pub(super) fn is_peer(&self, contender: usize) -> bool {
        self.contenders.get(contender).is_some_and(|about| about.is_peer)
    }

    /// Returns the pull of a kind that is closest to its median.
    pub(super) fn typical(&self, row: &Summary) -> Option<&Run> {
        let off = |run: &&Run| (run.wall - row.wall.median).abs();
        let case = Case { link: row.link, phase: row.phase, contender: row.contender };
        self.runs.iter().filter(|run| run.is_of(case)).min_by(|one, other| off(one).total_cmp(&off(other)))
    }
}

/// One pull.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    /// Places in the lists of links and contenders.
    pub(crate) link: usize,
    pub(crate) contender: usize,
    pub(crate) phase: Phase,
    pub(crate) round: u32,
    /// Seconds until it had ended.
    pub(crate) wall: f64,
    /// Seconds until the image could be read.
    pub(crate) ready: Option<f64>,
    /// Seconds of processors.
    pub(crate) cpu: f64,
    /// Bytes resident at once, at most.
    pub(crate) peak_memory: u64,
    /// Bytes that came over the link, heads of answers included.
    pub(crate) received: u64,
    /// Bytes that went over the link.
    pub(crate) sent: u64,
    pub(crate) connections: u64,
    /// Requests of any kind; for blobs alone where the registry is not ours.
    pub(crate) requests: Option<u64>,
    /// What it says itself.
    pub(crate) receipt: Option<Receipt>,
    /// Seconds, and the bytes that had come by then.
    pub(crate) timeline: Vec<(f64, u64)>,
    pub(crate) asked: Vec<Asked>,
}

/// All pulls of a kind.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Summary {
    pub(crate) link: usize,
    pub(crate) contender: usize,
    pub(crate) phase: Phase,
    pub(crate) wall: Spread,
    pub(crate) ready: Option<Spread>,
    pub(crate) cpu: Spread,
    pub(crate) peak_memory: Spread,
    pub(crate) received: Spread,
    pub(crate) requests: Option<Spread>,
    pub(crate) wasted: Option<Spread>,
    pub(crate) reused: Option<Spread>,
}

impl Run {
    pub(super) fn new((round, case): (u32, Case), pulled: &Pulled, seen: Seen) -> Self {
        let Seen { counts, asked, timeline } = seen;
        let requests = asked.as_ref().map(|asked| asked.len() as u64);
        Self {
            link: case.link,
            contender: case.contender,
            phase: case.phase,
            round,
            wall: pulled.wall.as_secs_f64(),
            ready: pulled.ready.map(|ready| ready.as_secs_f64()),
            cpu: pulled.cpu.as_secs_f64(),
            peak_memory: pulled.peak_memory,
            received: counts.down,
            sent: counts.up,
            connections: counts.connections,
            requests: requests.or(pulled.receipt.map(|receipt| receipt.requests)),
            receipt: pulled.receipt,
            timeline,
            asked: asked.unwrap_or_default(),
        }
    }

    fn is_of(&self, case: Case) -> bool {
        (self.link, self.contender, self.phase) == (case.link, case.contender, case.phase)
    }
}

impl Summary {
    /// Puts the pulls of a kind together; there is nothing to say of none.
    pub(super) fn of(case: Case, runs: &[Run]) -> Option<Self> {
        let runs: Vec<_> = runs.iter().filter(|run| run.is_of(case)).collect();
        let all = |number: fn(&Run) -> f64| Spread::of(runs.iter().map(|run| number(run)));
        let some = |number: fn(&Run) -> Option<f64>| Spread::of(runs.iter().filter_map(|run| number(run)));
        Some(Self {
            link: case.link,
            contender: case.contender,
            phase: case.phase,
            wall: all(|run| run.wall)?,
            ready: some(|run| run.ready),
            cpu: all(|run| run.cpu)?,
            peak_memory: all(|run| run.peak_memory as f64)?,
            received: all(|run| run.received as f64)?,
            requests: some(|run| run.requests.map(|requests| requests as f64)),
            wasted: some(|run| run.receipt.map(|receipt| receipt.wasted as f64)),
            reused: some(|run| run.receipt.map(|receipt| receipt.reused as f64)),
        })
    }
}
