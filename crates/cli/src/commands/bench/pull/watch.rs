//! Looks at a link while somebody pulls.

use std::time::Instant;

use link::Counts;

use super::stage::{Asked, Stage};

/// What came over a link since a pull began.
#[derive(Debug)]
pub(super) struct Watch<'s> {
    stage: &'s Stage,
    link: usize,
    started: Instant,
    looked: Instant,
    before: Counts,
    after: Counts,
    /// Seconds from the start, and bytes that had come by then.
    timeline: Vec<(f64, u64)>,
}

/// What was seen of a pull.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) counts: Counts,
    /// `None` where the registry is not ours.
    pub(super) asked: Option<Vec<Asked>>,
    pub(super) timeline: Vec<(f64, u64)>,
}

impl<'s> Watch<'s> {
    pub(super) fn new(stage: &'s Stage, link: usize) -> Self {
        let (now, counts) = (Instant::now(), stage.counts(link));
        Self { stage, link, started: now, looked: now, before: counts, after: counts, timeline: Vec::new() }
    }

    /// Begins anew: what came until now was not for the pull.
    pub(super) fn start(&mut self) {
        *self = Self::new(self.stage, self.link);
    }

    pub(super) fn look(&mut self) {
        self.looked = Instant::now();
        self.after = self.stage.counts(self.link);
        let came = self.after.down.saturating_sub(self.before.down);
        if self.timeline.last().is_none_or(|(_, known)| *known != came) {
            self.timeline.push(((self.looked - self.started).as_secs_f64(), came));
        }
    }

    pub(super) fn finish(self) -> Seen {
        let asked = self.stage.take_log(self.started..self.looked);
        Seen { counts: self.after.since(self.before), asked, timeline: self.timeline }
    }
}
