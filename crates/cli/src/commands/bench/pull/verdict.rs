//! Who was fastest, and where that is not morsel.

use super::plan::Phase;
use super::report::{Report, Summary};
use crate::ui::words::seconds;

/// Says, for a link and a kind of pull, how `morsel pull` did, and who did better.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) text: String,
    /// Whether a peer was faster, or fetched less.
    pub(super) is_beaten: bool,
}

/// Compares the pulls of a kind. There is nothing to say where the first contender, which is what `morsel pull` does by
/// itself, did not pull.
pub(super) fn of(report: &Report, link: usize, phase: Phase) -> Option<Verdict> {
    let rows: Vec<_> = report.rows(link, phase).collect();
    let own = rows.iter().find(|row| row.contender == 0)?;
    let peers = || rows.iter().filter(|row| report.is_peer(row.contender));
    let name = |row: &Summary| report.name(row.contender).to_owned();
    let mut text = format!("{}: {} took {}", phase.name(), name(own), seconds(own.wall.median));
    let faster =
        best(rows.iter().copied(), |row| row.wall.median).filter(|row| row.wall.most < own.wall.least);
    if let Some(faster) = faster {
        text += &format!("; {} was faster, {}", name(faster), seconds(faster.wall.median));
    }
    if let Some(peer) = best(peers().copied(), |row| row.wall.median).filter(|_| faster.is_none()) {
        let factor = peer.wall.median / own.wall.median.max(1e-9);
        text += &format!(
            "; the fastest peer, {}, {}, {factor:.1} times as long",
            name(peer),
            seconds(peer.wall.median)
        );
    }
    let leaner = best(peers().copied(), |row| row.received.median)
        .filter(|row| row.received.most < own.received.least);
    if let Some(leaner) = leaner {
        let percent = (1.0 - leaner.received.median / own.received.median.max(1.0)) * 100.0;
        text += &format!("; {} fetched {percent:.1} % less", name(leaner));
    }
    let is_beaten = leaner.is_some() || faster.is_some_and(|row| report.is_peer(row.contender));
    Some(Verdict { text, is_beaten })
}

fn best<'a>(
    rows: impl Iterator<Item = &'a Summary>,
    number: impl Fn(&Summary) -> f64,
) -> Option<&'a Summary> {
    rows.min_by(|one, other| number(one).total_cmp(&number(other)))
}
