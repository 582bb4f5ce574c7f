//! Converts one layer.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use chunked::convert::convert;

use super::report::LayerReport;
use crate::interrupt::Interrupt;
use crate::layer_file::LayerFile;
use crate::output::{Output, print};
use crate::request::{ConvertLayer, LayerPlace};
use crate::ui;
use crate::ui::json::to_json;
use crate::ui::progress::Progress;

/// Converts the layer, and puts the blob and its descriptor in their places.
pub(crate) fn run(request: &ConvertLayer) -> anyhow::Result<ExitCode> {
    let source = LayerFile::open(&request.source)?;
    let interrupt = Interrupt::install().context("cannot handle signals")?;
    let mut blob = Output::create(&request.destination)?;
    let descriptor = request.descriptor.as_deref().map(Output::at).transpose()?;

    let progress = Progress::start(&request.source, source.blob_len, request.form);
    let start = Instant::now();
    let converted = convert(interrupt.guard(source.file), &mut blob, &request.options, &progress);
    progress.finish();
    let converted = match converted {
        Err(error) => {
            drop((blob, descriptor));
            interrupt.die_if_asked();
            return Err(error).with_context(|| format!("cannot convert `{}`", request.source));
        }
        Ok(converted) => converted,
    };
    blob.commit().with_context(|| format!("cannot write `{}`", request.destination))?;
    let report = LayerReport::new(request, converted, start.elapsed());
    publish(request, &report, descriptor)?;
    Ok(ExitCode::SUCCESS)
}

/// Hands out the descriptor and the report. Standard output is for programs; when the blob has it, they get standard error.
fn publish(request: &ConvertLayer, report: &LayerReport, descriptor: Option<Output>) -> anyhow::Result<()> {
    if !request.form.quiet && !request.form.json {
        ui::say(&report.to_text(&request.source, &request.destination));
    }
    let product = to_json(&report.product())?;
    if let (Some(file), Some(path)) = (descriptor, &request.descriptor) {
        file.finish(&product).with_context(|| format!("cannot write `{}`", path.display()))?;
        if !request.form.json {
            return Ok(());
        }
    }
    let document = if request.form.json { to_json(report)? } else { product };
    match request.destination {
        LayerPlace::File(_) => print(&document),
        LayerPlace::Stream => {
            ui::say(&document);
            Ok(())
        }
    }
}
