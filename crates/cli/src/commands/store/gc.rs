//! Removes what no image needs.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use store::Store;
use store::gc::{self, Summary};

use super::additional;
use crate::args::Gc;
use crate::output::{print, print_text};
use crate::ui::json::to_json;
use crate::ui::table::{Align, Table};
use crate::ui::words::Bytes;

pub(crate) fn run(args: &Gc) -> anyhow::Result<ExitCode> {
    let store = args.store.open()?;
    let path = store.path().display().to_string();
    match args.dry_run {
        true => plan(&store, args).with_context(|| format!("cannot plan what to remove from `{path}`"))?,
        false => collect(store, args).with_context(|| format!("cannot remove garbage from `{path}`"))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// How much goes, with what engines find no more.
#[derive(Serialize)]
struct Gone<'a, T> {
    #[serde(flatten)]
    store: &'a T,
    /// Layers that engines found, and that none of them uses.
    published_layers: u64,
}

fn plan(store: &Store, args: &Gc) -> anyhow::Result<()> {
    let plan = gc::plan(store)?;
    let unneeded = additional::unneeded(store, grace(args))?.map_or(0, |(_, layers)| layers.len() as u64);
    match args.json {
        true => print(&to_json(&Gone { store: plan.summary(), published_layers: unneeded })?),
        false => print_text(&text("would be removed", plan.summary(), unneeded)),
    }
}

fn collect(store: Store, args: &Gc) -> anyhow::Result<()> {
    let store = super::take(store, args.no_wait)?;
    let report = gc::collect(&store)?;
    let published_layers = additional::remove(&store, grace(args))?.layers.len() as u64;
    match args.json {
        true => print(&to_json(&Gone { store: &report, published_layers })?),
        false => print_text(&text("removed", &report.removed, published_layers)),
    }
}

fn grace(args: &Gc) -> Duration {
    Duration::from_secs(args.grace)
}

fn text(verb: &str, summary: &Summary, published_layers: u64) -> String {
    if summary.is_empty() && published_layers == 0 {
        return "there is nothing to remove\n".to_owned();
    }
    let mut table = Table::new("", [Align::Left, Align::Right, Align::Right]);
    table.row([verb.to_owned(), "number".to_owned(), "size".to_owned()]);
    let rows = [
        ("layers", summary.layers, None),
        ("published layers", published_layers, None),
        ("file contents", summary.objects, Some(summary.objects_len)),
        ("partial file contents", summary.partials, Some(summary.partials_len)),
        ("manifests, indexes and configs", summary.documents, Some(summary.documents_len)),
        ("leftovers of crashes", summary.leftovers, None),
    ];
    for (what, number, len) in rows.into_iter().filter(|(_, number, _)| *number > 0) {
        let len = len.map(|len| Bytes(len).to_string()).unwrap_or_default();
        table.row([what.to_owned(), number.to_string(), len]);
    }
    table.to_string()
}
