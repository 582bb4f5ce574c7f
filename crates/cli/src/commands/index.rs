//! Looks after the dedup index.

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context;
use chunked::convert::Progress as _;
use serde::Serialize;
use store::Store;
use store::seed::{self, KnownSeed, Updated};

use crate::args::{Hashing, Index, IndexList, IndexRemove, IndexVerb};
use crate::output::{print, print_text};
use crate::seeds;
use crate::ui::json::to_json;
use crate::ui::progress::Progress;
use crate::ui::table::{Align, Table};
use crate::ui::words::{Bytes, count};

/// The index does not know a seed.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not in the dedup index; `morsel index list` says what is")]
pub(crate) struct NotIndexed(String);

/// What was brought up to date.
#[derive(Debug, Serialize)]
struct Report {
    seeds: Vec<Updated>,
    index: store::index::Shape,
}

pub(crate) fn run(args: &Index) -> anyhow::Result<ExitCode> {
    match &args.verb {
        IndexVerb::Add(args) => {
            let store = args.hashing.store.create()?;
            update(&store, &args.seeds, &args.hashing)
        }
        IndexVerb::Update(args) => {
            let store = args.hashing.store.open()?;
            let names = match args.seeds.is_empty() {
                true => seed::known(&store)?.into_iter().map(|known| known.name).collect(),
                false => args.seeds.clone(),
            };
            update(&store, &names, &args.hashing)
        }
        IndexVerb::List(args) => list(args),
        IndexVerb::Remove(args) => remove(args),
    }
}

fn update(store: &Store, names: &[String], hashing: &Hashing) -> anyhow::Result<ExitCode> {
    let jobs = hashing.jobs.or_else(|| thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
    let mut updated = Vec::new();
    for seed in seeds::named(names, store)? {
        let progress = Progress::start(seed.name(), None, hashing.form);
        let done = seed::update(store, &*seed, jobs, &|bytes| progress.read(bytes));
        progress.finish();
        updated.push(done.with_context(|| format!("cannot index `{}`", seed.name()))?);
    }
    store.sync()?;
    let report = Report { seeds: updated, index: store.index().shape() };
    match hashing.form {
        form if form.json => print(&to_json(&report)?)?,
        form if form.quiet => {}
        _ => print_text(&text(&report.seeds))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn text(updated: &[Updated]) -> String {
    let mut text = String::new();
    for Updated { seed, unchanged, hashed, chunks, gone, skipped } in updated {
        let files = |number| count(number, "file", "files");
        let _ = write!(
            text,
            "{seed}: {} hashed ({}), {} in them, {} unchanged",
            files(hashed.count),
            Bytes(hashed.bytes),
            count(*chunks, "chunk", "chunks"),
            files(unchanged.count),
        );
        for (number, what) in [(gone, "gone or changed"), (skipped, "not readable")] {
            if *number > 0 {
                let _ = write!(text, ", {} {what}", files(*number));
            }
        }
        text.push('\n');
    }
    text
}

fn list(args: &IndexList) -> anyhow::Result<ExitCode> {
    let store = args.listing.store.open()?;
    let known = seed::known(&store).context("cannot list the seeds of the dedup index")?;
    match args.listing.json {
        true => print(&to_json(&known)?)?,
        false => print_text(&table(&known))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn table(known: &[KnownSeed]) -> String {
    let right = Align::Right;
    let mut table = Table::new("", [Align::Left, right, right, Align::Left]);
    table.row(["seed", "files", "size", "listed"].map(str::to_owned));
    for KnownSeed { name, files, listed } in known {
        let age = || {
            let listed = Duration::from_secs(u64::try_from(*listed).unwrap_or(0));
            let age = (UNIX_EPOCH + listed).elapsed().unwrap_or_default();
            format!("{} ago", words(age))
        };
        let listed = if *listed == 0 { "to be hashed again".to_owned() } else { age() };
        table.row([name.clone(), files.count.to_string(), Bytes(files.bytes).to_string(), listed]);
    }
    table.to_string()
}

/// Writes how long something is ago, in the largest unit that fits.
fn words(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..60 => count(seconds, "second", "seconds"),
        60..3600 => count(seconds / 60, "minute", "minutes"),
        3600..86_400 => count(seconds / 3600, "hour", "hours"),
        _ => count(seconds / 86_400, "day", "days"),
    }
}

fn remove(args: &IndexRemove) -> anyhow::Result<ExitCode> {
    let store = args.store.open()?;
    for name in &args.seeds {
        let cannot = || format!("cannot remove `{name}` from the dedup index");
        match seed::forget(&store, name).with_context(cannot)? {
            true => print_text(&format!("removed {name}\n"))?,
            false => return Err(NotIndexed(name.clone()).into()),
        }
    }
    Ok(ExitCode::SUCCESS)
}
