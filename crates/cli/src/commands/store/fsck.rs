//! Checks the store, and removes what is bad.

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use chunked::convert::Progress as _;
use containers_storage::additional;
use serde::Serialize;
use store::Store;
use store::fsck::{self, BadImage, BadLayer, Findings, ImageProblem, LayerProblem, Options, Repairs};

use crate::args::{Fsck, StorePlace};
use crate::exit::code;
use crate::output::{print, print_text};
use crate::ui::json::to_json;
use crate::ui::progress::Progress;
use crate::ui::words::{Bytes, Elapsed, count, per_second};

/// What was found, and what was done about it.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    findings: Findings,
    /// What is wrong with what engines find.
    published: additional::Findings,
    /// `None` when there was nothing to mend, or nobody wanted it.
    repairs: Option<Repairs>,
    seconds: f64,
}

pub(crate) fn run(args: &Fsck) -> anyhow::Result<ExitCode> {
    let store = args.store.open()?;
    let path = store.path().display().to_string();
    let (findings, elapsed, repairs) = match args.repair {
        true => repair(store, args),
        false => check(&store, args).map(|(findings, elapsed)| (findings, elapsed, None)),
    }
    .with_context(|| format!("cannot check `{path}`"))?;
    let published = published(&args.store, args.repair).with_context(|| format!("cannot check `{path}`"))?;
    let is_clean = findings.is_clean() && published.0.is_empty();
    let is_good = is_clean || args.repair;
    match args.form.json {
        true => print(&to_json(&Report { findings, published, repairs, seconds: elapsed.as_secs_f64() })?)?,
        false if args.form.quiet && is_good => {}
        false => print_text(&text(&findings, &published, repairs.as_ref(), args.repair, elapsed))?,
    }
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::from(code::CORRUPT) })
}

/// Checks what engines find. Whoever publishes keeps it valid, so it takes nothing for itself.
fn published(place: &StorePlace, repair: bool) -> anyhow::Result<additional::Findings> {
    super::additional::check(&place.open()?, repair)
}

fn repair(store: Store, args: &Fsck) -> anyhow::Result<(Findings, Duration, Option<Repairs>)> {
    let store = super::take(store, args.no_wait)?;
    let (findings, elapsed) = check(&store, args)?;
    let repairs = if findings.is_clean() { None } else { Some(fsck::repair(&store, &findings)?) };
    Ok((findings, elapsed, repairs))
}

fn check(store: &Store, args: &Fsck) -> anyhow::Result<(Findings, Duration)> {
    let every = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let options = Options { threads: args.jobs.unwrap_or_else(every), since: None };
    let progress = Progress::start(store.path().display(), None, args.form);
    let started = Instant::now();
    let findings = fsck::check(store, &options, &Hashed(&progress));
    progress.finish();
    Ok((findings?, started.elapsed()))
}

/// Tells a bar or a log how many bytes were hashed.
struct Hashed<'a>(&'a Progress);

impl fsck::Progress for Hashed<'_> {
    fn hashed(&self, len: u64) {
        self.0.read(len);
    }
}

fn text(
    findings: &Findings,
    published: &additional::Findings,
    repairs: Option<&Repairs>,
    is_repaired: bool,
    elapsed: Duration,
) -> String {
    let mut text = String::new();
    for finding in &published.0 {
        let _ = writeln!(text, "published layers: {finding}");
    }
    for bad in &findings.bad_objects {
        let _ = writeln!(text, "content {}: {}", bad.digest, bad.problem);
    }
    for BadLayer { toc_digest, problem } in &findings.bad_layers {
        let problem = match problem {
            LayerProblem::Damaged(reason) => reason.clone(),
            LayerProblem::Lacks(lacking) => {
                format!("{} of it missing or damaged", count(*lacking, "file", "files"))
            }
        };
        let _ = writeln!(text, "layer {toc_digest}: {problem}");
    }
    for BadImage { name, problem } in &findings.bad_images {
        let problem = match problem {
            ImageProblem::Document(reason) => reason.clone(),
            ImageProblem::LacksLayers(lacking) => {
                format!("{} of it missing, pull it again", count(*lacking, "layer", "layers"))
            }
        };
        let _ = writeln!(text, "image {name}: {problem}");
    }
    if findings.bad_index {
        text += "dedup index: damaged\n";
    }
    let _ = writeln!(
        text,
        "checked  {}, {}, {}, {}",
        count(findings.images, "image", "images"),
        count(findings.layers, "layer", "layers"),
        count(findings.objects, "file content", "file contents"),
        Bytes(findings.objects_len),
    );
    let rate = per_second(findings.objects_len, elapsed);
    let _ = writeln!(text, "time     {}, {rate}/s", Elapsed(elapsed));
    match repairs {
        _ if findings.is_clean() && published.0.is_empty() => text += "nothing is wrong\n",
        None if is_repaired => {
            text += "what is published was repaired; the next pull publishes what it lacks\n"
        }
        Some(repairs) => text += &repaired(repairs),
        None => text += "`fsck --repair` removes what is damaged, so that a pull fetches it again\n",
    }
    text
}

/// Says what was done about findings.
pub(crate) fn repaired(repairs: &Repairs) -> String {
    let numbers = [
        (repairs.objects_removed, "file content removed", "file contents removed"),
        (repairs.layers_removed, "layer removed", "layers removed"),
        (repairs.layers_downgraded, "layer not complete any more", "layers not complete any more"),
        (repairs.images_removed, "image removed", "images removed"),
    ];
    let done: Vec<_> = numbers
        .into_iter()
        .filter(|(number, ..)| *number > 0)
        .map(|(number, one, many)| count(number, one, many))
        .chain(repairs.index_rebuilt.then(|| "dedup index made anew".to_owned()))
        .collect();
    if done.is_empty() { "nothing to remove\n".to_owned() } else { format!("{}\n", done.join(", ")) }
}
