//! What was measured, for people.

use std::fmt::Write as _;

use super::images::Image;
use super::plan::Phase;
use super::report::{Report, Summary};
use crate::commands::bench::spread::Spread;
use crate::ui::table::{Align, Table};
use crate::ui::words::{Bytes, count, seconds};

/// Writes a table for each link and each kind of pull.
pub(super) fn of(report: &Report) -> String {
    let mut text = two_columns(facts(report));
    for (link, name) in report.links.iter().enumerate() {
        for phase in Phase::ALL {
            let summaries: Vec<_> = report.rows(link, phase).collect();
            if !summaries.is_empty() {
                let _ = write!(
                    text,
                    "\n{}, {}\n{}",
                    heading(phase),
                    words(name),
                    table(rows(report, &summaries))
                );
            }
        }
        text.push('\n');
        for verdict in report.verdicts.iter().filter(|verdict| verdict.link == link) {
            let _ = writeln!(text, "=> {}", verdict.text);
        }
    }
    text.push('\n');
    text += &two_columns(
        report.contenders.iter().map(|about| (about.name.clone(), about.does.clone())).collect(),
    );
    let unfair = report.contenders.iter().filter_map(|about| Some((&about.name, about.unfair.as_ref()?)));
    text.extend(unfair.map(|(name, unfair)| format!("unfair: {name}: {unfair}\n")));
    text.extend(report.notes.iter().map(|note| format!("note: {note}\n")));
    text
}

fn two_columns(rows: Vec<(String, String)>) -> String {
    let mut table = Table::new("", [Align::Left, Align::Left]);
    rows.into_iter().for_each(|(name, text)| table.row([name, text]));
    table.to_string()
}

/// Lists what was pulled, and where.
pub(super) fn facts(report: &Report) -> Vec<(String, String)> {
    let machine = &report.machine;
    let processors = count(machine.processors as u64, "processor", "processors");
    let on = format!(
        "{processors}, {}, {}, Linux {}, morsel {}",
        machine.processor,
        Bytes(machine.memory),
        machine.kernel,
        machine.morsel
    );
    let rounds = count(report.rounds.into(), "pull", "pulls");
    let facts = [
        ("image", Some(image(&report.new))),
        ("update of", report.old.as_ref().map(image)),
        ("registry", report.ranges.map(|ranges| format!("this process, {ranges}"))),
        ("machine", Some(on)),
        ("numbers", Some(format!("medians of {rounds}, in shuffled order, with the least and the most"))),
    ];
    facts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?))).collect()
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

/// Lists what was measured, with a head.
pub(super) fn rows(report: &Report, summaries: &[&Summary]) -> Vec<Vec<String>> {
    let head = [
        "",
        "time",
        "least to most",
        "ready",
        "bytes",
        "requests",
        "reused",
        "wasted",
        "processor",
        "memory",
    ];
    let row = |row: &&Summary| {
        let bytes = |spread: &Option<Spread>| optional(spread, |number| Bytes(number as u64).to_string());
        vec![
            report.name(row.contender).to_owned(),
            seconds(row.wall.median),
            format!("{:.2} to {:.2}", row.wall.least, row.wall.most),
            optional(&row.ready, seconds),
            Bytes(row.received.median as u64).to_string(),
            optional(&row.requests, |number| number.to_string()),
            bytes(&row.reused),
            bytes(&row.wasted),
            seconds(row.cpu.median),
            Bytes(row.peak_memory.median as u64).to_string(),
        ]
    };
    std::iter::once(head.map(str::to_owned).to_vec()).chain(summaries.iter().map(row)).collect()
}

fn table(rows: Vec<Vec<String>>) -> String {
    let mut columns = [Align::Right; 10];
    columns[0] = Align::Left;
    let mut table = Table::new("  ", columns);
    rows.into_iter().filter_map(|row| row.try_into().ok()).for_each(|row| table.row(row));
    table.to_string()
}

fn optional(spread: &Option<Spread>, show: impl Fn(f64) -> String) -> String {
    spread.map_or("-".to_owned(), |spread| show(spread.median))
}
