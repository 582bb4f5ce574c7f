//! What was measured, in pictures.

use super::contender::About;
use super::plan::Phase;
use super::report::{Report, Run, Summary};
use super::text;
use crate::commands::bench::html::{Bar, Bars, Line, Page, Part, Timelines};
use crate::commands::bench::spread::Spread;
use crate::ui::words::{Bytes, seconds};

/// Writes a page: for each link and each kind of pull the times and the bytes, how they came about, and the numbers.
pub(super) fn of(report: &Report, json: &str) -> String {
    let mut page = Page::new(&format!("Pulls of {}", report.new.name));
    page.list(&text::facts(report));
    for (link, name) in report.links.iter().enumerate() {
        page.heading(&format!("Pulls {}", text::words(name)));
        for verdict in report.verdicts.iter().filter(|verdict| verdict.link == link) {
            match verdict.is_beaten {
                true => page.remark(&verdict.text),
                false => page.paragraph(&verdict.text),
            }
        }
        for phase in Phase::ALL {
            section(&mut page, report, link, phase);
        }
    }
    page.heading("Who pulled");
    let who = |about: &About| {
        let version = about.version.as_ref().map_or(String::new(), |version| format!(" ({version})"));
        let unfair = about.unfair.as_ref().map_or(String::new(), |unfair| format!(" Unfair: {unfair}."));
        (about.name.clone(), format!("{}{version}.{unfair}", about.does))
    };
    page.list(&report.contenders.iter().map(who).collect::<Vec<_>>());
    report.notes.iter().for_each(|note| page.paragraph(&format!("Note: {note}.")));
    page.data(json);
    page.to_string()
}

/// Writes pictures of the times and bytes of each kind of pull, with names for their files.
pub(super) fn pictures(report: &Report) -> Vec<(String, String)> {
    const WIDTH: u32 = 640;
    let mut pictures = Vec::new();
    for (link, name) in report.links.iter().enumerate() {
        for phase in [Phase::Cold, Phase::Update] {
            let rows: Vec<_> = report.rows(link, phase).collect();
            if rows.is_empty() {
                continue;
            }
            for (what, bars) in [("time", times(report, &rows)), ("bytes", bytes(report, &rows))] {
                let title =
                    format!("{}, {}: {}", text::heading(phase), text::words(name), bars.title.to_lowercase());
                let file = format!("{what}-{}-{}.svg", phase.name(), name.replace(',', "-"));
                pictures.push((file, Bars { title, ..bars }.to_svg(WIDTH)));
            }
        }
    }
    pictures
}

fn section(page: &mut Page, report: &Report, link: usize, phase: Phase) {
    let rows: Vec<_> = report.rows(link, phase).collect();
    if rows.is_empty() {
        return;
    }
    page.subheading(text::heading(phase));
    page.figures(&[&times(report, &rows), &bytes(report, &rows)]);
    if phase != Phase::Repeat {
        page.figures(&[&timelines(report, &rows)]);
    }
    page.table(&text::rows(report, &rows));
}

fn times(report: &Report, rows: &[&Summary]) -> Bars {
    let bar = |row: &&Summary| {
        let is_later = |ready: &Spread| ready.median != row.wall.median;
        let ready = row.ready.filter(is_later);
        let ready = ready.map_or(String::new(), |ready| format!(", ready {}", seconds(ready.median)));
        Bar {
            name: report.name(row.contender).to_owned(),
            parts: vec![(part(report, row), row.wall.median)],
            spread: Some(row.wall),
            mark: row.ready.map(|ready| ready.median),
            label: seconds(row.wall.median) + &ready,
        }
    };
    Bars {
        title: "Time until the pull ended".to_owned(),
        legend: vec![("spread", "least to most"), ("mark", "ready")],
        rows: rows.iter().map(bar).collect(),
    }
}

fn bytes(report: &Report, rows: &[&Summary]) -> Bars {
    let bar = |row: &&Summary| {
        let wasted = row.wasted.map_or(0.0, |wasted| wasted.median).min(row.received.median);
        let note = match wasted {
            0.0 => String::new(),
            wasted => format!(", {} wasted", Bytes(wasted as u64)),
        };
        Bar {
            name: report.name(row.contender).to_owned(),
            parts: vec![(part(report, row), row.received.median - wasted), (Part::Wasted, wasted)],
            spread: Some(row.received),
            mark: None,
            label: Bytes(row.received.median as u64).to_string() + &note,
        }
    };
    Bars {
        title: "Bytes that came over the link".to_owned(),
        legend: vec![("wasted", "of no use")],
        rows: rows.iter().map(bar).collect(),
    }
}

fn timelines(report: &Report, rows: &[&Summary]) -> Timelines {
    let line = |row: &&Summary| {
        let run = report.typical(row)?;
        let requests = run.requests.map_or(String::new(), |requests| format!(", {requests} requests"));
        Some(Line {
            name: report.name(row.contender).to_owned(),
            is_peer: report.is_peer(row.contender),
            points: run.timeline.clone(),
            requests: run.asked.iter().map(|asked| asked.at).collect(),
            ready: run.ready,
            end: end(run),
            label: format!("{}{requests}, {}", Bytes(run.received), seconds(run.wall)),
        })
    };
    Timelines {
        title: "How the run in the middle went, all in the same scale".to_owned(),
        lines: rows.iter().filter_map(line).collect(),
    }
}

fn end(run: &Run) -> f64 {
    let last = run.timeline.last().map_or(0.0, |point| point.0);
    run.wall.max(last)
}

fn part(report: &Report, row: &Summary) -> Part {
    if report.is_peer(row.contender) { Part::Peer } else { Part::Own }
}
