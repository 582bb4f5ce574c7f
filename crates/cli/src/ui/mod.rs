//! What people see: progress, reports, tables.

pub(crate) mod image_progress;
pub(crate) mod json;
pub(crate) mod mirror_progress;
pub(crate) mod progress;
pub(crate) mod pull_progress;
pub(crate) mod steps;
pub(crate) mod table;
pub(crate) mod words;

use std::io::{self, Write};

/// Replaces what could control a terminal: names in a layer are chosen by whoever made it.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Writes text to standard error. Where nobody can be told, nothing can be done about it.
pub(crate) fn say(text: &str) {
    let _ = io::stderr().lock().write_all(harmless(text).as_bytes());
}
