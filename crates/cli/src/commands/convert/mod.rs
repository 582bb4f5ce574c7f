//! `morsel convert`.

mod image;
mod image_text;
mod layer;
mod places;
mod report;

use std::process::ExitCode;

use self::places::Places;
use crate::request::{ConvertImage, ConvertLayer};

/// Converts one layer.
pub(super) fn one_layer(request: &ConvertLayer) -> anyhow::Result<ExitCode> {
    Places::of_layer(request).check()?;
    layer::run(request)
}

/// Converts the layers of an image.
pub(super) fn whole_image(request: &ConvertImage) -> anyhow::Result<ExitCode> {
    Places::of_image(request).check()?;
    image::run(request)
}
