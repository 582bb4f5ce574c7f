//! What the abilities of a registry mean for those who pull from it.

use std::time::Duration;

use registry::probe::{Answered, Report, Serves, Throughput};

use crate::ui::words::Bytes;

/// A server that takes longer for a range is slow at it: nginx takes a few hundredths of a millisecond.
const SLOW_RANGE: Duration = Duration::from_micros(300);
/// Several connections are worth it when they are faster than one by this factor.
const WORTH_PIECES: f64 = 1.25;

/// Says it in sentences.
pub(super) fn of(report: &Report) -> Vec<String> {
    [Some(updates(report)), slow_ranges(report), Some(whole_layers(report)), podman(report)]
        .into_iter()
        .flatten()
        .collect()
}

fn updates(report: &Report) -> String {
    match report.ranges {
        Serves::Many { count, .. } => {
            format!("updates fetch the missing chunks alone, with up to {count} ranges in a request")
        }
        Serves::One => {
            "updates fetch the missing chunks alone, with a request for each stretch of them, several at once"
                .into()
        }
        Serves::Whole => "updates fetch whole layers: this host serves no ranges".into(),
    }
}

fn slow_ranges(report: &Report) -> Option<String> {
    let per_range = report.per_range.filter(|per_range| *per_range >= SLOW_RANGE)?;
    let worth = per_range.as_secs_f64() * rate(&report.stream);
    Some(format!(
        "a range costs as much as {} of a stream: where chunks are scattered, whole layers may be faster",
        Bytes(worth as u64)
    ))
}

fn whole_layers(report: &Report) -> String {
    match &report.parallel {
        Some(parallel) if rate(parallel) > rate(&report.stream) * WORTH_PIECES => {
            "several connections are faster than one: new layers are fetched in pieces side by side".into()
        }
        _ => "one connection is enough for new layers".into(),
    }
}

/// What podman and its kin, which ask for up to 1,024 ranges in a request, meet with here (containers/image 5.39).
fn podman(report: &Report) -> Option<String> {
    let several = report.trials.iter().find(|trial| trial.ranges > 1 && trial.answered != Answered::Parts)?;
    let what = match several.status {
        206 if several.answered == Answered::Fewer => "fails, as it expects all the ranges it asked for",
        200 => "moves the whole layer for each request with several ranges",
        400 => "asks again for fewer ranges, and for whole layers where that fails",
        _ => "fails when it pulls layers in parts",
    };
    Some(format!("podman {what}: {} ranges were answered with {}", several.ranges, several.status))
}

fn rate(throughput: &Throughput) -> f64 {
    throughput.bytes as f64 / throughput.elapsed.as_secs_f64().max(1e-9)
}
