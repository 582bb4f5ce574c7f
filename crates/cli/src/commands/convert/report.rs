//! What came of converting a layer, for people and for programs.

use std::fmt::Write as _;
use std::time::Duration;

use chunked::DiffId;
use chunked::convert::{Converted, Outcome, SelfCheck};
use registry::{Descriptor, MediaType};
use serde::Serialize;

use crate::machine::peak_memory;
use crate::request::{ConvertLayer, LayerPlace};
use crate::ui::words::{Bytes, Elapsed, Percent, count, per_second};

/// The report of one layer.
#[derive(Debug, Serialize)]
pub(super) struct LayerReport {
    descriptor: Descriptor,
    #[serde(flatten)]
    converted: Converted,
    level: i32,
    jobs: usize,
    seconds: f64,
    /// Bytes resident at once, at most.
    peak_memory: Option<u64>,
}

/// What a manifest and a config have to say about the layer.
#[derive(Debug, Serialize)]
pub(super) struct Product<'a> {
    descriptor: &'a Descriptor,
    diff_id: &'a DiffId,
}

impl LayerReport {
    pub(super) fn new(request: &ConvertLayer, converted: Converted, elapsed: Duration) -> Self {
        let mut descriptor =
            Descriptor::new(MediaType::OCI_LAYER_ZSTD, converted.blob_digest, converted.blob_len);
        descriptor.annotations = converted.annotations();
        let (level, jobs) = (request.options.level.get(), request.options.jobs.get());
        let (seconds, peak_memory) = (elapsed.as_secs_f64(), peak_memory());
        Self { descriptor, converted, level, jobs, seconds, peak_memory }
    }

    /// Returns what goes to whoever puts the layer into an image.
    pub(super) fn product(&self) -> Product<'_> {
        Product { descriptor: &self.descriptor, diff_id: &self.converted.diff_id }
    }

    /// Writes the report for people.
    pub(super) fn to_text(&self, source: &LayerPlace, destination: &LayerPlace) -> String {
        let (from, to) = (name(source, "standard input"), name(destination, "standard output"));
        let mut text = format!("{from} -> {to}\n");
        for (name, value) in self.rows() {
            let _ = writeln!(text, "  {name:<11} {value}");
        }
        if let Outcome::Plain { why } = &self.converted.outcome {
            let _ = writeln!(text, "warning: this is not zstd:chunked: {why}");
        }
        text
    }

    fn rows(&self) -> Vec<(&'static str, String)> {
        let Converted { outcome, source, counts, tar_len, blob_len, .. } = &self.converted;
        let is_chunked = matches!(outcome, Outcome::Chunked { .. });
        let share = Percent { part: *blob_len, whole: source.blob_len };
        let elapsed = Duration::from_secs_f64(self.seconds);
        let self_check = match self.converted.self_check {
            SelfCheck::On => "passed, every frame decodes to what was read",
            SelfCheck::Off => "off, the blob was not decoded and compared",
        };
        let mut rows = vec![
            ("format", if is_chunked { "zstd:chunked" } else { "plain zstd" }.to_owned()),
            ("read", format!("{}, {}", Bytes(source.blob_len), source.compression)),
            ("written", format!("{}, {share} of what was read", Bytes(*blob_len))),
            (
                "tar",
                format!(
                    "{}, {}, {}",
                    Bytes(*tar_len),
                    count(counts.entries, "entry", "entries"),
                    count(counts.files, "file", "files")
                ),
            ),
        ];
        if is_chunked {
            let metadata = Percent { part: counts.metadata_blob_len, whole: *blob_len };
            rows.push(("chunks", format!("{} in {} frames", counts.chunks, counts.frames)));
            rows.push(("metadata", format!("{}, {metadata} of the blob", Bytes(counts.metadata_blob_len))));
        }
        rows.extend([
            ("self-check", self_check.to_owned()),
            ("time", format!("{}, {}/s of tar", Elapsed(elapsed), per_second(*tar_len, elapsed))),
            ("effort", self.effort()),
            ("digest", self.converted.blob_digest.to_string()),
            ("diff ID", self.converted.diff_id.to_string()),
        ]);
        rows
    }

    fn effort(&self) -> String {
        let peak = self.peak_memory.map(|peak| format!(", {} of memory", Bytes(peak))).unwrap_or_default();
        format!("level {}, {}{peak}", self.level, count(self.jobs as u64, "job", "jobs"))
    }
}

fn name(place: &LayerPlace, stream: &str) -> String {
    match place {
        LayerPlace::Stream => stream.to_owned(),
        LayerPlace::File(_) => place.to_string(),
    }
}
