//! What a verification found, for people.

use std::fmt::Write as _;

use chunked::verify::{Check, Outcome, Report, Verdict};

use super::image::{ImageReport, LayerReport};
use crate::instances::not_images;
use crate::ui::table::{Align, Table};
use crate::ui::words::{Bytes, count};

/// Lists every check of one layer.
pub(super) fn of_layer(name: &str, report: &Report) -> String {
    let dialect = report.dialect.map_or("no TOC".to_owned(), |dialect| dialect.to_string());
    let mut text = format!("{name}: {}\n", report.verdict);
    let members = count(report.members, "member", "members");
    let _ = writeln!(text, "  {dialect}");
    let _ = writeln!(text, "  blob {}, tar {}, {members}", Bytes(report.blob_len), Bytes(report.tar_len));
    text += &checks(report.checks.iter(), "  ");
    if report.verdict == Verdict::Consistent {
        text += "hint: a diff ID, from the image's config, would prove the tar: --diff-id or --descriptor\n";
    }
    text
}

/// Lists the layers of an image, with the checks that failed.
pub(super) fn of_image(name: &str, report: &ImageReport) -> String {
    let mut text = format!("{name}: {}\n", report.verdict);
    for manifest in &report.manifests {
        let _ = writeln!(text, "{} {}: {}", manifest.platform, manifest.digest, manifest.verdict);
        manifest.layers.iter().for_each(|layer| text += &of_image_layer(layer));
    }
    if report.manifests.is_empty() {
        text += "there is no image, so nothing is proven\n";
    }
    text + &not_images(&report.absent, &report.other)
}

fn of_image_layer(layer: &LayerReport) -> String {
    let len = Bytes(layer.descriptor.len);
    let mut text = format!("  {}  {len:>10}  {}", layer.descriptor.digest, layer.verdict);
    if let Some(note) = &layer.note {
        let _ = write!(text, ": {note}");
    }
    text.push('\n');
    let all = layer.report.iter().flat_map(|report| &report.checks);
    text + &checks(all.filter(|check| check.outcome == Outcome::Failed), "    ")
}

/// Lists checks. Those that one reason makes inapplicable share a row, the first one's.
fn checks<'a>(checks: impl Iterator<Item = &'a Check>, indent: &str) -> String {
    let mut table = Table::new(indent, [Align::Left; 3]);
    let mut why_not = "";
    for check in checks {
        let outcome = match check.outcome {
            Outcome::NotApplicable if check.detail == why_not => continue,
            Outcome::NotApplicable => {
                why_not = &check.detail;
                "-".to_owned()
            }
            other => other.to_string(),
        };
        table.row([check.name.to_string(), outcome, check.detail.clone()]);
    }
    table.to_string()
}
