//! Says what one layer is.

use std::process::ExitCode;

use anyhow::Context;
use chunked::layer::{Layer, PlainReason};
use chunked::{Limits, RangeSource};

use super::summary::Summary;
use super::toc_text;
use crate::descriptor_file::Known;
use crate::layer_file::LayerFile;
use crate::output::{print, print_text, stream};
use crate::request::{LayerToSee, Subject, View};
use crate::ui::json::to_json;

/// There is no TOC to list.
#[derive(Debug, thiserror::Error)]
#[error("it has no TOC that can be used: {0}")]
pub(crate) struct NoToc(pub(super) PlainReason);

/// Opens the layer, and says what is wanted of it.
pub(crate) fn run(layer: &LayerToSee, view: View) -> anyhow::Result<ExitCode> {
    let known = layer.descriptor.as_deref().map(Known::read).transpose()?.unwrap_or_default();
    let blob = LayerFile::open_blob(&layer.place)?;
    show(&layer.place.to_string(), &blob, &known, view)
        .with_context(|| format!("cannot inspect `{}`", layer.place))?;
    Ok(ExitCode::SUCCESS)
}

fn show(name: &str, blob: &dyn RangeSource, known: &Known, view: View) -> anyhow::Result<()> {
    let layer = Layer::open(blob, |key| known.annotation(key), &Limits::default())?;
    match (view, layer) {
        (View { subject: Subject::Summary, json }, layer) => {
            let summary = Summary::of(&layer, blob)?;
            if json { print(&to_json(&summary)?) } else { print_text(&summary.to_text(name)) }
        }
        (View { json: true, .. }, Layer::Chunked(layer)) => stream(|out| {
            toc_text::write_json(&layer, out)?;
            writeln!(out)
        }),
        (View { json: false, .. }, Layer::Chunked(layer)) => stream(|out| toc_text::write(&layer, out)),
        (_, Layer::Plain { why }) => Err(NoToc(why).into()),
    }
}
