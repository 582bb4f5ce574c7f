//! What people see: progress, reports, tables.

pub(crate) mod json;
pub(crate) mod progress;
pub(crate) mod table;
pub(crate) mod words;

use std::io::{self, Write};

/// Writes text to standard error. Where nobody can be told, nothing can be done about it.
pub(crate) fn say(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
