//! How complete a mirror is, for people.

use std::fmt::Write as _;

use registry::mirror::completeness::{Child, Completeness, State};

use super::verify::{Compared, Report};
use crate::ui::table::{Align, Table};
use crate::ui::words::{Bytes, count, short};

/// Lists every child, what is said about the index, and how another image differs.
pub(super) fn of(report: &Report) -> String {
    let mut text = of_image(&report.image);
    if let Some(compared) = &report.compared {
        text += &of_compared(&report.image, compared);
    }
    text
}

fn of_image(image: &Completeness) -> String {
    let mut text = format!("{}: {}\n", image.image, image.verdict);
    let left = Align::Left;
    let mut table = Table::new("  ", [left, left, Align::Right, left, left]);
    for child in &image.children {
        table.row([
            child.platform.clone().unwrap_or_else(|| "-".to_owned()),
            short(&child.digest),
            Bytes(child.bytes).to_string(),
            state(child),
            referrers(child.referrers),
        ]);
    }
    text += &table.to_string();
    for child in &image.children {
        for blob in &child.missing_blobs {
            let _ = writeln!(text, "  {} lacks blob {blob}", short(&child.digest));
        }
    }
    let _ = writeln!(text, "index       {}", image.digest);
    let _ = writeln!(text, "signatures  {}", signatures(image));
    let _ = writeln!(text, "referrers   {}", image.referrers);
    for intent in &image.intents {
        let by = intent.by.as_ref().map(|by| format!(", by {by}")).unwrap_or_default();
        let left_out = count(intent.left_out.len() as u64, "entry", "entries");
        let _ = writeln!(text, "record      mirrored from {}{by}; {left_out} left out", intent.source);
    }
    text
}

fn state(child: &Child) -> String {
    match child.state {
        State::Present => "present".to_owned(),
        State::BlobsMissing => count(child.missing_blobs.len() as u64, "blob missing", "blobs missing"),
        State::LeftOut => "left out on purpose".to_owned(),
        State::Missing => "missing".to_owned(),
    }
}

fn referrers(number: u64) -> String {
    if number == 0 { String::new() } else { count(number, "referrer", "referrers") }
}

fn signatures(image: &Completeness) -> String {
    let all = image.signatures.len() as u64;
    let wrong = image.signatures.iter().filter(|signature| !signature.names_index).count();
    match (all, wrong) {
        (0, _) => "none".to_owned(),
        (_, 0) => format!("{all}, of this very index; keys are not checked"),
        (_, wrong) => format!("{all}, of which {wrong} do not name this index"),
    }
}

fn of_compared(image: &Completeness, compared: &Compared) -> String {
    let Compared { other, same_index, only_here, only_there } = compared;
    let index = if *same_index { "the same index" } else { "another index" };
    let mut text = format!("{} has {index} and is {}\n", other.image, other.verdict);
    for (place, names) in [(&image.image, only_here), (&other.image, only_there)] {
        if !names.is_empty() {
            let _ = writeln!(text, "only in {place}: {}", names.join(", "));
        }
    }
    text
}
