//! Measures pulls.

mod bench;
mod caches;
mod contender;
mod disk;
mod images;
mod page;
mod plan;
mod report;
mod sample;
mod stage;
#[cfg(test)]
mod tests;
mod text;
mod verdict;
mod watch;

use std::fs;
use std::process::ExitCode;

use anyhow::Context;
use serde_json::Value;
use tempfile::TempDir;

use bench::Bench;
use images::Images;
use report::Report;

use crate::access::access;
use crate::interrupt::Interrupt;
use crate::output::{Output, print, print_text, scratch};
use crate::request::BenchPull;
use crate::ui::json::to_json;
use crate::ui::say;

/// Pulls in all ways, over all links, and reports.
pub(crate) fn run(request: &BenchPull) -> anyhow::Result<ExitCode> {
    let place = request.work.clone().unwrap_or_else(scratch);
    let work = TempDir::with_prefix_in("morsel-bench-", &place)
        .with_context(|| format!("cannot make a directory in `{}`", place.display()))?;
    let access = access(&request.registry)?;
    // What cannot be written is better known before an hour of pulls than afterwards.
    let page = request.html.as_deref().map(Output::at).transpose()?;
    if let Some(dir) = &request.pictures {
        fs::create_dir_all(dir).with_context(|| format!("cannot make `{}`", dir.display()))?;
    }
    // Asked to stop, this process ends as after any other failure, and takes its stores away.
    let interrupt = Interrupt::install().context("cannot handle signals")?;
    let report = Images::prepare(request, &access, work.path())
        .and_then(|images| Bench::start(request, images, work.path())?.run(&interrupt));
    remove(work);
    let report = report.inspect_err(|_| interrupt.die_if_asked())?;
    write(request, page, &report)
}

/// Takes a directory away; one that stays is named.
pub(super) fn remove(work: TempDir) {
    let path = work.path().to_owned();
    if let Err(error) = work.close() {
        say(&format!("cannot remove `{}`: {error}\n", path.display()));
    }
}

/// Writes the report, the page and the pictures that are wanted.
fn write(request: &BenchPull, page: Option<Output>, report: &Report) -> anyhow::Result<ExitCode> {
    match request.form {
        form if form.json => print(&to_json(report)?)?,
        form if form.quiet => {}
        _ => print_text(&text::of(report))?,
    }
    if let (Some(path), Some(output)) = (&request.html, page) {
        let page = page::of(report, &data(report)?);
        output.finish(&page).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    if let Some(dir) = &request.pictures {
        for (name, picture) in page::pictures(report) {
            let path = dir.join(name);
            Output::at(&path)?
                .finish(&picture)
                .with_context(|| format!("cannot write `{}`", path.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a report for programs, without what pulls were doing at every moment.
fn data(report: &Report) -> anyhow::Result<String> {
    let mut data = serde_json::to_value(report).context("cannot write JSON")?;
    for run in data.get_mut("runs").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(run) = run.as_object_mut() {
            run.remove("timeline");
            run.remove("asked");
        }
    }
    Ok(data.to_string())
}
