//! Documents for programs.

use anyhow::Context;
use serde::Serialize;

/// Writes a value as JSON over several lines, with a newline at its end.
pub(crate) fn to_json(value: &impl Serialize) -> anyhow::Result<String> {
    serde_json::to_string_pretty(value).map(|text| text + "\n").context("cannot write JSON")
}
