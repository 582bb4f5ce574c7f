//! `morsel inspect`.

pub(super) mod image;
pub(super) mod layer;
mod summary;
mod toc_text;
