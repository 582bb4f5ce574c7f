//! What mirroring does or did, for people.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::time::Duration;

use registry::mirror::{Child, ChildFate, Done, Plan, Role, Tally, Why};

use super::image::Mirrored;
use crate::ui::table::{Align, Table};
use crate::ui::words::{Bytes, Elapsed, count, per_second, short};

/// Lists what becomes of every child, the sums, and what should be known but for what is `known` already.
pub(super) fn of(mirrored: &Mirrored, known: &mut HashSet<String>) -> String {
    let Mirrored { plan, done } = mirrored;
    let mut text = format!("{} -> {}\n", plan.source, plan.destination);
    text += &children(plan);
    let _ = writeln!(text, "index   {}", index(plan));
    let _ = writeln!(text, "beside  {}", beside(plan));
    text += &match done {
        Some(done) => moved(plan, done),
        None => planned(plan),
    };
    for notice in plan.notices.iter().filter(|notice| known.insert((*notice).clone())) {
        let _ = writeln!(text, "note: {notice}");
    }
    text
}

/// Says how long it took.
pub(super) fn time(mirrored: &Mirrored, elapsed: Duration) -> String {
    let copied = mirrored.done.unwrap_or_default().copied.bytes;
    match copied {
        0 => format!("time    {}\n", Elapsed(elapsed)),
        bytes => format!("time    {}, {}/s\n", Elapsed(elapsed), per_second(bytes, elapsed)),
    }
}

/// Sums up many images.
pub(super) fn of_all(images: &[Mirrored], failures: usize, elapsed: Duration) -> String {
    let done = |tally: fn(&Done) -> Tally| {
        images.iter().filter_map(|image| image.done.as_ref()).fold(Tally::default(), |sum, done| {
            let Tally { count, bytes } = tally(done);
            Tally { count: sum.count.saturating_add(count), bytes: sum.bytes.saturating_add(bytes) }
        })
    };
    let (copied, mounted) = (done(|done| done.copied), done(|done| done.mounted));
    let failed = if failures == 0 { String::new() } else { format!(", {failures} failed") };
    format!(
        "images  {}{failed}\nmoved   {}; mounted {}\ntime    {}\n",
        images.len(),
        blobs(copied),
        blobs(mounted),
        Elapsed(elapsed)
    )
}

fn children(plan: &Plan) -> String {
    let mut table = Table::new("  ", [Align::Left, Align::Left, Align::Right, Align::Left]);
    for child in &plan.children {
        table.row([
            child.platform.clone().unwrap_or_else(|| "-".to_owned()),
            short(&child.digest),
            Bytes(child.len).to_string(),
            fate(child),
        ]);
    }
    table.to_string()
}

fn fate(child: &Child) -> String {
    let why = match child.why {
        Some(Why::Platform | Why::IndexOnly) => "not asked for",
        Some(Why::NoPlatform) => "without a platform",
        Some(Why::Encoding) => "in another encoding",
        Some(Why::Attestation) => "about an image that is left out",
        None => "",
    };
    match (child.fate, child.is_there) {
        (ChildFate::Mirrored, false) => "mirrored".to_owned(),
        (ChildFate::Mirrored, true) => "mirrored, there before".to_owned(),
        (ChildFate::LeftOut, false) => format!("left out, {why}"),
        (ChildFate::LeftOut, true) => "there from before".to_owned(),
        (ChildFate::Absent, false) => "absent from the source".to_owned(),
        (ChildFate::Absent, true) => "absent from the source, there from before".to_owned(),
    }
}

fn index(plan: &Plan) -> String {
    let digest = plan.root.descriptor().digest;
    match &plan.trimmed {
        Some(trimmed) => format!(
            "{digest}, new; lost with {}: {}",
            trimmed.before,
            count(trimmed.lost.len() as u64, "signature or referrer", "signatures and referrers"),
        ),
        None if plan.root_is_there => format!("{digest}, there before"),
        None => format!("{digest}, byte for byte"),
    }
}

fn beside(plan: &Plan) -> String {
    let is_said = |role: &Role| matches!(role, Role::Referrer { .. } | Role::Tagged { .. });
    let said = plan.documents.iter().filter(|step| is_said(&step.role)).count() as u64;
    let said = (said > 0).then(|| count(said, "signature or referrer", "signatures and referrers"));
    let record = plan.intent.as_ref().map(|_| "a record of what is left out".to_owned());
    let all: Vec<String> = said.into_iter().chain(record).collect();
    if all.is_empty() { "nothing".to_owned() } else { all.join(", and ") }
}

fn moved(plan: &Plan, done: &Done) -> String {
    let there = blobs(plan.totals.there);
    format!("moved   {}; mounted {}; there before {there}\n", blobs(done.copied), blobs(done.mounted))
}

fn planned(plan: &Plan) -> String {
    let totals = &plan.totals;
    format!(
        "to do   move {}, {}; mount {}; there before {}\n",
        blobs(totals.copy),
        count(totals.documents.count, "document", "documents"),
        blobs(totals.mount),
        blobs(totals.there)
    )
}

fn blobs(tally: Tally) -> String {
    match tally.count {
        0 => "nothing".to_owned(),
        number => format!("{} ({})", Bytes(tally.bytes), count(number, "blob", "blobs")),
    }
}
