//! Who was fastest, and where that is not morsel.

use serde::Serialize;

use super::plan::Phase;
use super::report::{Report, Summary};
use crate::commands::bench::spread::Spread;
use crate::ui::words::{Bytes, seconds};

/// Fewer bytes than this are not worth a word: those of a request or two.
const BYTES_MIN: f64 = 65_536.0;
/// Of two strategies of morsel, the part by which one has to be faster to be worth a word.
const CHANCE: f64 = 0.1;

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

/// Compares the first contender, which is the first strategy of morsel that was asked for, with the others, as far as they make
/// files of an image. There is nothing to say where it did not pull.
///
/// Who was faster in the median, but not each time, is not called faster.
fn of(report: &Report, link: usize, phase: Phase) -> Option<Verdict> {
    let rows: Vec<_> = report.rows(link, phase).filter(|row| report.unpacks(row.contender)).collect();
    let own = rows.iter().find(|row| row.contender == 0)?;
    let peers = || rows.iter().copied().filter(|row| report.is_peer(row.contender));
    let mut text =
        format!("{}: {} took {}", phase.name(), report.name(own.contender), seconds(own.wall.median));
    let was_faster =
        |row: &Summary| format!("; {} was faster, {}", report.name(row.contender), seconds(row.wall.median));
    let others = rows.iter().copied().filter(|row| !report.is_peer(row.contender));
    let better = fastest(others.filter(|row| row.wall.most < own.wall.least * (1.0 - CHANCE)));
    text.extend(better.map(was_faster));
    let faster = fastest(peers().filter(|row| row.wall.most < own.wall.least));
    text.extend(faster.map(was_faster));
    if let (None, Some(peer)) = (faster, fastest(peers())) {
        let factor = peer.wall.median / own.wall.median.max(1e-9);
        let (name, took) = (report.name(peer.contender), seconds(peer.wall.median));
        text += &format!("; the fastest peer, {name}, {took}: {factor:.1} times as long");
    }
    let leaner = peers().filter(|row| row.received.most + BYTES_MIN < own.received.least);
    let leaner = leaner.min_by(|one, other| one.received.median.total_cmp(&other.received.median));
    if let Some(leaner) = leaner {
        let less = Bytes((own.received.median - leaner.received.median) as u64);
        text += &format!("; {} fetched {less} less", report.name(leaner.contender));
    }
    let sooner = sooner(report, link, phase);
    text.extend(sooner.iter().map(|(text, _)| format!("; {text}")));
    let is_beaten = leaner.is_some() || faster.is_some() || sooner.is_some_and(|(_, is_beaten)| is_beaten);
    Some(Verdict { link, phase, text, is_beaten })
}

/// Says whose image could be read first, and whether that was a peer's, each time. All that mount take part in this, even where
/// nothing but what is read comes.
fn sooner(report: &Report, link: usize, phase: Phase) -> Option<(String, bool)> {
    let all = |is_peer| {
        let rows = report.rows(link, phase).filter(move |row| report.is_peer(row.contender) == is_peer);
        rows.filter_map(|row| Some((report.name(row.contender), row.ready?)))
    };
    let (own, ready) = first(all(false))?;
    let sooner = first(all(true).filter(|(_, of_peer)| of_peer.most < ready.least));
    let is_beaten = sooner.is_some();
    let (peer, of_peer) = sooner.or_else(|| first(all(true)))?;
    let (ready, of_peer) = (seconds(ready.median), seconds(of_peer.median));
    let text = match is_beaten {
        true => format!("{peer} was ready sooner, after {of_peer}, {own} after {ready}"),
        false => format!("ready: {own} after {ready}, the first peer, {peer}, after {of_peer}"),
    };
    Some((text, is_beaten))
}

fn first<'a>(ready: impl Iterator<Item = (&'a str, Spread)>) -> Option<(&'a str, Spread)> {
    ready.min_by(|(_, one), (_, other)| one.median.total_cmp(&other.median))
}

fn fastest<'a>(rows: impl Iterator<Item = &'a Summary>) -> Option<&'a Summary> {
    rows.min_by(|one, other| one.wall.median.total_cmp(&other.wall.median))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::bench::pull::contender::About;
    use crate::commands::bench::pull::images::Image;
    use crate::machine::Machine;

    /// A contender, with the times of its pulls, the bytes of each, and when the first could be read.
    type Told = (&'static str, [f64; 3], f64, Option<f64>);

    /// Says what follows for contenders, of which those with `-` before their names do not unpack, and all but morsel are peers.
    fn verdict(told: &[Told]) -> (String, bool) {
        let about = |(name, ..): &Told| About {
            name: name.trim_start_matches('-').to_owned(),
            is_peer: !name.starts_with("morsel"),
            unpacks: !name.starts_with('-'),
            version: None,
            does: String::new(),
            unfair: None,
        };
        let summary = |(contender, (_, wall, received, ready)): (usize, &Told)| {
            let of = |numbers: &[f64]| Spread::of(numbers.iter().copied()).unwrap();
            Summary {
                link: 0,
                contender,
                phase: Phase::Cold,
                wall: of(wall),
                ready: ready.map(|ready| of(&[ready])),
                cpu: of(&[0.0]),
                peak_memory: of(&[0.0]),
                received: of(&[*received]),
                requests: None,
                wasted: None,
                reused: None,
            }
        };
        let (name, path, original) = (String::new(), String::new(), String::new());
        let report = Report {
            machine: Machine::this(),
            new: Image { name, path, original, layers: 1, blob_len: 1 },
            old: None,
            links: vec![String::new()],
            ranges: None,
            contenders: told.iter().map(about).collect(),
            rounds: 3,
            notes: Vec::new(),
            verdicts: Vec::new(),
            summaries: told.iter().enumerate().map(summary).collect(),
            runs: Vec::new(),
        };
        let verdict = all(&report).remove(0);
        (verdict.text, verdict.is_beaten)
    }

    const OWN: Told = ("morsel", [2.0, 2.1, 2.2], 2e6, None);

    #[test]
    fn a_peer_wins_when_it_was_faster_each_time() {
        let (text, is_beaten) = verdict(&[OWN, ("a", [1.0, 1.1, 1.9], 2e6, None)]);
        assert!(is_beaten && text == "cold: morsel took 2.10 s; a was faster, 1.10 s", "{text}");
        let (text, is_beaten) = verdict(&[OWN, ("a", [1.0, 1.1, 2.05], 2e6, None)]);
        assert!(!is_beaten && text.ends_with("the fastest peer, a, 1.10 s: 0.5 times as long"), "{text}");
        let (text, is_beaten) =
            verdict(&[OWN, ("a", [1.0, 1.1, 2.05], 2e6, None), ("b", [1.5, 1.6, 1.9], 2e6, None)]);
        assert!(is_beaten && text == "cold: morsel took 2.10 s; b was faster, 1.60 s", "{text}");
        let (text, is_beaten) = verdict(&[OWN, ("-a", [1.0, 1.1, 1.2], 1e6, None)]);
        assert!(!is_beaten && text == "cold: morsel took 2.10 s", "{text}");
    }

    #[test]
    fn another_strategy_is_told_when_it_was_much_faster() {
        let slow: Told = ("a", [4.0, 4.2, 4.4], 2e6, None);
        let (text, is_beaten) = verdict(&[OWN, ("morsel, lazy", [1.0, 1.1, 1.2], 2e6, None), slow]);
        let expected = "morsel took 2.10 s; morsel, lazy was faster, 1.10 s; the fastest peer, a, 4.20 s: 2.0 times as long";
        assert!(!is_beaten && text.ends_with(expected), "{text}");
        let (text, _) = verdict(&[OWN, ("morsel, lazy", [1.9; 3], 2e6, None), slow]);
        assert!(text.starts_with("cold: morsel took 2.10 s; the fastest peer"), "{text}");
    }

    #[test]
    fn a_peer_wins_when_it_fetched_less() {
        let (text, is_beaten) = verdict(&[OWN, ("a", [4.0, 4.2, 4.4], 1e6, None)]);
        assert!(
            is_beaten && text.ends_with("a, 4.20 s: 2.0 times as long; a fetched 976.6 KiB less"),
            "{text}"
        );
        let (_, is_beaten) = verdict(&[OWN, ("a", [4.0, 4.2, 4.4], 1.99e6, None)]);
        assert!(!is_beaten);
    }

    #[test]
    fn a_peer_wins_when_it_was_ready_sooner_whatever_came() {
        let lazy: Told = ("morsel, lazy", [3.0, 3.0, 3.0], 2e6, Some(0.5));
        let (text, is_beaten) = verdict(&[OWN, lazy, ("-a", [0.1; 3], 1e4, Some(0.4))]);
        assert!(
            is_beaten && text.ends_with("a was ready sooner, after 0.40 s, morsel, lazy after 0.50 s"),
            "{text}"
        );
        let (text, is_beaten) = verdict(&[OWN, lazy, ("-a", [0.1; 3], 1e4, Some(0.6))]);
        let expected = "; ready: morsel, lazy after 0.50 s, the first peer, a, after 0.60 s";
        assert!(!is_beaten && text.ends_with(expected), "{text}");
    }
}
