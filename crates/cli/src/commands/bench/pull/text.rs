//! What was measured, for people.

use std::fmt::Write as _;
use std::time::Duration;

use super::images::Image;
use super::plan::Phase;
use super::report::{Report, Summary};
use crate::commands::bench::spread::Spread;
use crate::ui::table::{Align, Table};
use crate::ui::words::{Bytes, Elapsed, count};

/// Writes a table for each link and each kind of pull.
pub(super) fn of(report: &Report) -> String {
    let mut text = facts(report);
    for (place, link) in report.links.iter().enumerate() {
        for phase in Phase::ALL {
            let rows: Vec<_> =
                report.summaries.iter().filter(|row| (row.link, row.phase) == (place, phase)).collect();
            if !rows.is_empty() {
                let _ = write!(text, "\n{}, {}\n{}", heading(phase), words(link), table(report, &rows));
            }
        }
    }
    text.push('\n');
    for about in &report.contenders {
        let _ = writeln!(text, "{}: {}", about.name, about.does);
        if let Some(unfair) = &about.unfair {
            let _ = writeln!(text, "  unfair: {unfair}");
        }
    }
    report.notes.iter().for_each(|note| {
        let _ = writeln!(text, "note: {note}");
    });
    text
}

fn facts(report: &Report) -> String {
    let machine = &report.machine;
    let mut table = Table::new("", [Align::Left, Align::Left]);
    let mut fact = |name: &str, value: String| table.row([name.to_owned(), value]);
    fact("image", image(&report.new));
    if let Some(old) = &report.old {
        fact("update of", image(old));
    }
    if let Some(ranges) = report.ranges {
        fact("registry", format!("this process, {ranges}"));
    }
    let processors = count(machine.processors as u64, "processor", "processors");
    fact(
        "machine",
        format!("{processors}, {}, {}, Linux {}", machine.processor, Bytes(machine.memory), machine.kernel),
    );
    let rounds = count(report.rounds.into(), "pull", "pulls");
    fact("numbers", format!("medians of {rounds}, in shuffled order, with the least and the most"));
    table.to_string()
}

fn image(image: &Image) -> String {
    format!("{}: {}, {}", image.name, count(image.layers as u64, "layer", "layers"), Bytes(image.blob_len))
}

/// Says what is pulled.
pub(super) fn heading(phase: Phase) -> &'static str {
    match phase {
        Phase::Cold => "cold: the store is empty",
        Phase::Update => "update: the store has the older image",
        Phase::Repeat => "repeat: the store has the image",
    }
}

/// Says what a link is.
pub(super) fn words(link: &str) -> String {
    if link == "none" { "loopback as it is".to_owned() } else { format!("over {link}") }
}

fn table(report: &Report, rows: &[&Summary]) -> String {
    let right = Align::Right;
    let mut table =
        Table::new("  ", [Align::Left, right, Align::Left, right, right, right, right, right, right, right]);
    table.row(
        ["", "time", "", "ready", "bytes", "requests", "reused", "wasted", "processor", "memory"]
            .map(str::to_owned),
    );
    for row in rows {
        let bytes = |spread: &Option<Spread>| optional(spread, |number| Bytes(number as u64).to_string());
        table.row([
            report.contenders.get(row.contender).map_or(String::new(), |about| about.name.clone()),
            seconds(row.wall.median),
            range(&row.wall),
            optional(&row.ready, seconds),
            Bytes(row.received.median as u64).to_string(),
            optional(&row.requests, |number| format!("{number}")),
            bytes(&row.reused),
            bytes(&row.wasted),
            seconds(row.cpu.median),
            Bytes(row.peak_memory.median as u64).to_string(),
        ]);
    }
    table.to_string()
}

fn optional(spread: &Option<Spread>, show: impl Fn(f64) -> String) -> String {
    spread.map_or("-".to_owned(), |spread| show(spread.median))
}

fn seconds(seconds: f64) -> String {
    Elapsed(Duration::from_secs_f64(seconds.max(0.0))).to_string()
}

fn range(spread: &Spread) -> String {
    format!("{:.2} to {:.2}", spread.least, spread.most)
}
