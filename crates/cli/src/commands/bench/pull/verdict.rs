//! Who was fastest, and where that is not morsel.

use serde::Serialize;

use super::plan::Phase;
use super::report::{Report, Summary};
use crate::ui::words::{Bytes, seconds};

/// Fewer bytes than this are not worth a word: those of a request or two.
const BYTES_MIN: f64 = 65_536.0;

/// What is to be said of a kind of pull over a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Verdict {
    pub(crate) link: usize,
    pub(crate) phase: Phase,
    pub(crate) text: String,
    /// Whether a peer was faster, or fetched less.
    pub(crate) is_beaten: bool,
}

/// Says it of all links, and of all kinds of pulls.
pub(super) fn all(report: &Report) -> Vec<Verdict> {
    let cases = (0..report.links.len()).flat_map(|link| Phase::ALL.map(|phase| (link, phase)));
    cases.filter_map(|(link, phase)| of(report, link, phase)).collect()
}

/// Compares the first contender, which is what `morsel pull` does by itself, with the others, as far as they make files of
/// an image. There is nothing to say where it did not pull.
///
/// Who was faster in the median, but not each time, is not called faster.
fn of(report: &Report, link: usize, phase: Phase) -> Option<Verdict> {
    let rows: Vec<_> = report.rows(link, phase).filter(|row| report.unpacks(row.contender)).collect();
    let own = rows.iter().find(|row| row.contender == 0)?;
    let peers = || rows.iter().copied().filter(|row| report.is_peer(row.contender));
    let mut text =
        format!("{}: {} took {}", phase.name(), report.name(own.contender), seconds(own.wall.median));
    let faster = fastest(rows.iter().copied()).filter(|row| row.wall.most < own.wall.least);
    match (faster, fastest(peers())) {
        (Some(faster), _) => {
            text +=
                &format!("; {} was faster, {}", report.name(faster.contender), seconds(faster.wall.median))
        }
        (None, Some(peer)) => {
            let factor = peer.wall.median / own.wall.median.max(1e-9);
            let took = seconds(peer.wall.median);
            text += &format!(
                "; the fastest peer, {}, {took}: {factor:.1} times as long",
                report.name(peer.contender)
            );
        }
        (None, None) => {}
    }
    let leaner = peers().min_by(|one, other| one.received.median.total_cmp(&other.received.median));
    let leaner = leaner.filter(|row| row.received.most + BYTES_MIN < own.received.least);
    if let Some(leaner) = leaner {
        let less = Bytes((own.received.median - leaner.received.median) as u64);
        text += &format!("; {} fetched {less} less", report.name(leaner.contender));
    }
    let is_beaten = leaner.is_some() || faster.is_some_and(|row| report.is_peer(row.contender));
    Some(Verdict { link, phase, text, is_beaten })
}

fn fastest<'a>(rows: impl Iterator<Item = &'a Summary>) -> Option<&'a Summary> {
    rows.min_by(|one, other| one.wall.median.total_cmp(&other.wall.median))
}
