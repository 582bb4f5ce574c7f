//! `morsel mirror`.

mod image;
mod list;
mod text;
mod verify;
mod verify_text;

use std::collections::HashSet;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use serde::Serialize;

pub(super) use verify::run as verify;

use crate::access::access;
use crate::interrupt::Interrupt;
use crate::output::{print, print_text};
use crate::request::{Images, Mirror, OneImage};
use crate::ui::json::to_json;
use crate::ui::mirror_progress::MirrorProgress;
use image::{Job, Mirrored, Run};

/// The report for programs on one image.
#[derive(Debug, Serialize)]
struct ImageReport<'a> {
    #[serde(flatten)]
    mirrored: &'a Mirrored,
    seconds: f64,
}

/// Mirrors one image, or all that a file lists.
pub(super) fn run(request: &Mirror) -> anyhow::Result<ExitCode> {
    let access = access(&request.registry)?;
    let interrupt = Interrupt::install().context("cannot handle signals")?;
    let progress = MirrorProgress::start(request.form);
    let run = Run::new(request, &access, &interrupt, &progress);
    match &request.images {
        Images::Listed { file, base } => list::run(request, &run, file, base),
        Images::One(image) => {
            let OneImage { source, destination, upstream } = &**image;
            let upstream = upstream.as_ref();
            one(request, &run, &Job { source, destination, upstream, options: &request.options })
        }
    }
}

fn one(request: &Mirror, run: &Run<'_>, job: &Job<'_>) -> anyhow::Result<ExitCode> {
    let start = Instant::now();
    let mirrored = run.mirror(job);
    run.finish();
    let mirrored = mirrored?;
    let elapsed = start.elapsed();
    match request.form {
        form if form.json => {
            print(&to_json(&ImageReport { mirrored: &mirrored, seconds: elapsed.as_secs_f64() })?)?;
        }
        form if form.quiet => {}
        _ => print_text(&(text::of(&mirrored, &mut HashSet::new()) + &text::time(&mirrored, elapsed)))?,
    }
    Ok(ExitCode::SUCCESS)
}
