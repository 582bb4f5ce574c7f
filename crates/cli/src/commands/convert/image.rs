//! Converts the layers of an image.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use registry::convert::{Report, convert};
use registry::{Descriptor, transport};
use serde::Serialize;

use super::image_text;
use crate::access::access;
use crate::descriptor_file::Known;
use crate::interrupt::Interrupt;
use crate::machine::peak_memory;
use crate::output::{Output, print};
use crate::request::ConvertImage;
use crate::ui;
use crate::ui::image_progress::ImageProgress;
use crate::ui::json::to_json;

/// The report for programs.
#[derive(Debug, Serialize)]
struct ImageReport<'a> {
    descriptor: &'a Descriptor,
    #[serde(flatten)]
    report: &'a Report,
    level: i32,
    jobs: usize,
    seconds: f64,
    /// Bytes resident at once, at most.
    peak_memory: Option<u64>,
}

/// Converts the image, and hands out the descriptor of what it became.
pub(crate) fn run(request: &ConvertImage) -> anyhow::Result<ExitCode> {
    let cannot = || format!("cannot convert `{}`", request.source);
    let access = access(&request.registry)?;
    let source = transport::open(&request.source, &access).with_context(cannot)?;
    let interrupt = Interrupt::install().context("cannot handle signals")?;
    let descriptor = request.descriptor.as_deref().map(Output::at).transpose()?;
    let sink = transport::create(&request.destination, &access)
        .with_context(|| format!("cannot write `{}`", request.destination))?;

    let progress = ImageProgress::start(&request.source, request.form);
    let start = Instant::now();
    let report = convert(&interrupt.guard_image(&*source), sink, &request.options, &progress);
    let times = progress.finish();
    let report = match report {
        Err(error) => {
            drop(descriptor);
            interrupt.die_if_asked();
            return Err(error).with_context(cannot);
        }
        Ok(report) => report,
    };
    let elapsed = start.elapsed();
    if !request.form.quiet && !request.form.json {
        ui::say(&image_text::of(&report, &times, elapsed));
    }
    publish(request, &report, elapsed.as_secs_f64(), descriptor)?;
    Ok(ExitCode::SUCCESS)
}

fn publish(
    request: &ConvertImage,
    report: &Report,
    seconds: f64,
    file: Option<Output>,
) -> anyhow::Result<()> {
    let after = &report.after;
    let root = Descriptor::new(after.media_type.clone(), after.digest, after.len);
    let product = to_json(&Known { descriptor: Some(root.clone()), diff_id: None })?;
    let is_written = file.is_some();
    if let (Some(file), Some(path)) = (file, &request.descriptor) {
        file.finish(&product).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    if request.form.json {
        let layer = &request.options.layer;
        let (level, jobs) = (layer.level.get(), layer.jobs.get());
        let peak_memory = peak_memory();
        return print(&to_json(&ImageReport {
            descriptor: &root,
            report,
            level,
            jobs,
            seconds,
            peak_memory,
        })?);
    }
    if is_written { Ok(()) } else { print(&product) }
}
