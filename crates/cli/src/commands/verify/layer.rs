//! Verifies one layer.

use std::process::ExitCode;

use anyhow::Context;
use chunked::verify::{Expected, verify};
use chunked::{DiffId, Limits, RangeSource};

use super::{exit_code, text};
use crate::args::Form;
use crate::descriptor_file::Known;
use crate::layer_file::LayerFile;
use crate::output::{print, print_text};
use crate::request::LayerToSee;
use crate::ui::json::to_json;
use crate::ui::progress::{Metered, Progress};

/// Verifies the layer against itself, and against what is known about it.
pub(crate) fn run(layer: &LayerToSee, diff_id: Option<DiffId>, form: Form) -> anyhow::Result<ExitCode> {
    let known = layer.descriptor.as_deref().map(Known::read).transpose()?.unwrap_or_default();
    let blob = LayerFile::open_blob(&layer.place)?;
    let cannot = || format!("cannot verify `{}`", layer.place);
    let annotations = known.annotations().with_context(cannot)?;
    let expected = Expected {
        annotations: annotations.as_ref(),
        blob_digest: known.descriptor.as_ref().map(|descriptor| descriptor.digest),
        diff_id: diff_id.or(known.diff_id),
    };
    let progress = Progress::start(&layer.place, Some(blob.blob_len()), form);
    let report = verify(&Metered::new(&blob, &progress), &expected, &Limits::default());
    progress.finish();
    let report = report.with_context(cannot)?;
    match form {
        Form { json: true, .. } => print(&to_json(&report)?)?,
        Form { quiet: true, .. } => {}
        _ => print_text(&text::of_layer(&layer.place.to_string(), &report))?,
    }
    Ok(exit_code(report.verdict))
}
