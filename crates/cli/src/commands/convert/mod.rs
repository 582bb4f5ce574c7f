//! `morsel convert`.

pub(super) mod layer;
mod report;
