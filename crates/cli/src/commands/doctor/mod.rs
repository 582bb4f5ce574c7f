//! Finds out how things are, and what that means.

pub(super) mod engines;
mod meaning;
mod text;

use std::process::ExitCode;

use anyhow::Context;
use registry::probe::{self, Options};
use serde::Serialize;

use crate::access::{access, remember};
use crate::output::{print, print_text};
use crate::request::DoctorRegistry;
use crate::ui::json::to_json;

/// What was found out, and what it means.
#[derive(Debug, Serialize)]
struct Diagnosis {
    #[serde(flatten)]
    report: probe::Report,
    meaning: Vec<String>,
}

/// Probes the host of an image's blobs.
pub(super) fn registry(request: &DoctorRegistry) -> anyhow::Result<ExitCode> {
    let access = access(&request.registry)?;
    let options = Options { bytes: request.bytes, ..Options::default() };
    let report = probe::probe(&request.name, &access.registries, &options)
        .with_context(|| format!("cannot examine the registry of `{}`", request.name))?;
    remember(&access);
    let diagnosis = Diagnosis { meaning: meaning::of(&report), report };
    match request.json {
        true => print(&to_json(&diagnosis)?)?,
        false => print_text(&text::of(&diagnosis))?,
    }
    Ok(ExitCode::SUCCESS)
}
