//! What was counted, as Prometheus reads it.
//!
//! Source: the text format 0.0.4 of Prometheus.

use std::fmt::Write as _;

use super::protocol::Status;
use crate::fetch::Verdict;

/// Writes the metrics.
pub(super) fn render(status: &Status) -> String {
    let mut text = String::new();
    // Every field of the counts is a number.
    if let Ok(serde_json::Value::Object(counts)) = serde_json::to_value(status.counts) {
        for (name, count) in counts {
            let _ = writeln!(text, "# TYPE morsel_{name}_total counter\nmorsel_{name}_total {count}");
        }
    }
    gauge(&mut text, "pending_chunks", status.pending as u64);
    gauge(&mut text, "images", status.images.len() as u64);
    let layers = status.images.iter().flat_map(|image| &image.layers);
    let quarantined = layers.filter(|layer| matches!(layer.verdict, Verdict::Quarantined(_)));
    gauge(&mut text, "quarantined_layers_now", quarantined.count() as u64);
    for (name, value) in [
        ("image_content_len", (|image| image.progress.len) as fn(&super::protocol::ImageStatus) -> u64),
        ("image_content_len_here", |image| image.progress.len_here),
        ("image_complete", |image| u64::from(image.is_done())),
    ] {
        let _ = writeln!(text, "# TYPE morsel_{name} gauge");
        for image in &status.images {
            let label = label(&image.name);
            let _ = writeln!(text, "morsel_{name}{{image=\"{label}\"}} {}", value(image));
        }
    }
    text
}

fn gauge(text: &mut String, name: &str, value: u64) {
    let _ = writeln!(text, "# TYPE morsel_{name} gauge\nmorsel_{name} {value}");
}

fn label(name: &str) -> String {
    crate::error::shorten(name).replace('\\', "\\\\").replace('"', "\\\"")
}
