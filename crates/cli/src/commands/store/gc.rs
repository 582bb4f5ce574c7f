//! Removes what no image needs.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use mount::daemon::ServedLayers;
use serde::Serialize;
use store::Store;
use store::gc::{self, Evicted, Summary};

use super::additional;
use super::room::room;
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

/// What was removed, or would be.
#[derive(Debug, Serialize)]
struct Report<T> {
    #[serde(flatten)]
    removed: T,
    /// What goes to make room; `None` when there is no quota.
    evicted: Option<Evicted>,
    /// Layers that engines found, and that none of them uses.
    published_layers: u64,
}

fn plan(store: &Store, args: &Gc) -> anyhow::Result<()> {
    let served = ServedLayers::of(store.path())?;
    let removed = *gc::plan(store, &served.all())?.summary();
    let evicted = match room(args.quota)? {
        Some(room) => Some(*gc::plan_eviction(store, &room.quota(&served))?.summary()),
        None => None,
    };
    let published_layers =
        additional::unneeded(store, grace(args))?.map_or(0, |(_, layers)| layers.len() as u64);
    match args.json {
        true => print(&to_json(&Report { removed, evicted, published_layers })?),
        false => print_text(&text("would be removed", &removed, evicted.as_ref(), published_layers)),
    }
}

fn collect(store: Store, args: &Gc) -> anyhow::Result<()> {
    let store = super::take(store, args.no_wait)?;
    // These first: what is mounted for engines is kept.
    let published_layers = additional::remove(&store, grace(args))?.layers.len() as u64;
    let served = ServedLayers::of(store.path())?;
    let removed = gc::collect(&store, &served.all())?;
    let evicted = match room(args.quota)? {
        Some(room) => Some(gc::evict(&store, &room.quota(&served))?),
        None => None,
    };
    match args.json {
        true => print(&to_json(&Report { removed, evicted, published_layers })?),
        false => print_text(&text("removed", &removed.removed, evicted.as_ref(), published_layers)),
    }
}

fn grace(args: &Gc) -> Duration {
    Duration::from_secs(args.grace)
}

fn text(verb: &str, summary: &Summary, evicted: Option<&Evicted>, published_layers: u64) -> String {
    let evicted = evicted.copied().unwrap_or_default();
    if summary.is_empty() && evicted == Evicted::default() && published_layers == 0 {
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
        ("file contents, to make room", evicted.contents, Some(evicted.disk_len)),
    ];
    for (what, number, len) in rows.into_iter().filter(|(_, number, _)| *number > 0) {
        let len = len.map(|len| Bytes(len).to_string()).unwrap_or_default();
        table.row([what.to_owned(), number.to_string(), len]);
    }
    let mut text = table.to_string();
    if evicted.beyond_len > 0 {
        let beyond = Bytes(evicted.beyond_len);
        let _ = writeln!(
            text,
            "{beyond} more than the quota are of images that are mounted or cannot be fetched again"
        );
    }
    text
}
