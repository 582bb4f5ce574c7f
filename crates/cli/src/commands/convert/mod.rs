//! `morsel convert`.

pub(super) mod image;
mod image_text;
pub(super) mod layer;
mod report;
