//! What became of an image, for people.

use std::fmt::Write as _;
use std::time::Duration;

use chunked::convert::SelfCheck;
use registry::convert::{Action, Content, LayerAction, LayerReport, ManifestReport, Origin, Report};

use crate::ui::image_progress::Times;
use crate::ui::table::{Align, Table};
use crate::ui::words::{Bytes, Elapsed, Percent, short};

/// Lists what became of every manifest and every layer.
pub(super) fn of(report: &Report, times: &Times, elapsed: Duration) -> String {
    let mut text = format!("{} -> {}\n", report.source, report.destination);
    for manifest in &report.manifests {
        text += &of_manifest(manifest, times);
    }
    let layers = || report.manifests.iter().flat_map(|manifest| &manifest.layers);
    let self_check = match report.self_check {
        _ if layers().all(|layer| layer.origin != Some(Origin::Fresh)) => "nothing was converted anew",
        SelfCheck::On => "passed, every frame decodes to what was read",
        SelfCheck::Off => "off, the blobs were not decoded and compared",
    };
    let _ = writeln!(text, "self-check  {self_check}");
    let _ = writeln!(text, "time        {}", Elapsed(elapsed));
    let _ = writeln!(text, "digest      {}", change(&report.before, &report.after));
    for warning in &report.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    text
}

fn change(before: &Content, after: &Content) -> String {
    if before.digest == after.digest {
        format!("{}, as before", after.digest)
    } else {
        format!("{}, before {}", after.digest, before.digest)
    }
}

fn of_manifest(manifest: &ManifestReport, times: &Times) -> String {
    let platform = manifest.platform.as_deref().unwrap_or("no platform");
    let action = match manifest.action {
        Action::Converted => "converted",
        Action::Added => "converted, and added to the original",
        Action::Kept => "kept as it is",
        Action::Absent => "not there, the source is sparse",
        Action::NotSelected => "left out, not asked for",
        Action::Dropped => "left out",
        _ => "changed",
    };
    let mut text = format!("{platform} {}: {action}", short(&manifest.source.digest));
    if let Some(reason) = &manifest.reason {
        let _ = write!(text, ", {reason}");
    }
    if let Some(image_id) = &manifest.image_id {
        let _ = write!(text, "; image ID {} stays", short(image_id));
    }
    text.push('\n');
    if !manifest.layers.is_empty() {
        text += &layers(&manifest.layers, times);
    }
    text
}

fn layers(layers: &[LayerReport], times: &Times) -> String {
    let right = Align::Right;
    let mut table = Table::new("  ", [Align::Left, Align::Left, right, right, right, right]);
    table.row(["layer", "became", "before", "after", "ratio", "time"].map(str::to_owned));
    for layer in layers {
        let ratio = Percent { part: layer.result.len, whole: layer.source.len };
        let time = times.of(&layer.source.digest).filter(|_| layer.origin == Some(Origin::Fresh));
        table.row([
            short(&layer.source.digest),
            became(layer),
            Bytes(layer.source.len).to_string(),
            Bytes(layer.result.len).to_string(),
            ratio.to_string(),
            time.map_or("-".to_owned(), |time| Elapsed(time).to_string()),
        ]);
    }
    let reasons = layers.iter().filter_map(|layer| Some((layer, layer.reason.as_ref()?)));
    reasons.fold(table.to_string(), |text, (layer, why)| {
        let severity = if layer.action == LayerAction::Plain { "warning: " } else { "" };
        text + &format!("  {severity}{} is not zstd:chunked: {why}\n", short(&layer.source.digest))
    })
}

fn became(layer: &LayerReport) -> String {
    let what = match layer.action {
        LayerAction::Chunked => "zstd:chunked",
        LayerAction::Plain => "plain zstd",
        LayerAction::Kept => "kept",
        LayerAction::Carried => "carried along",
        _ => "changed",
    };
    match layer.origin {
        Some(Origin::Cache) => format!("{what}, from the cache"),
        Some(Origin::Run) => format!("{what}, from above"),
        _ => what.to_owned(),
    }
}
