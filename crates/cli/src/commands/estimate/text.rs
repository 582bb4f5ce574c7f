//! What a pull would cost, for people.

use std::fmt::Write as _;
use std::time::Duration;

use chunked::BlobRange;
use chunked::estimate::{Kind, Largest, Shares};
use chunked::plan::{Request, Strategy};

use super::here::Compared;
use super::report::{Fetch, How, Image, LayerEstimate, LinkReport, Report, Total};
use crate::ui::table::{Align, Table};
use crate::ui::words::{Bytes, Elapsed, Percent, count, short};

/// Longest path that is shown whole.
const PATH_LEN_MAX: usize = 100;

/// Lists every layer, why files are fetched, the largest of them, and the sum.
pub(super) fn of(report: &Report) -> String {
    let layers = count(report.layers.len() as u64, "layer", "layers");
    let Image { name, platform, manifest } = &report.image;
    let mut text = format!("{name}: {platform}, {layers}, {manifest}\n");
    text += &compared(&report.compared);
    text += &table(&report.layers);
    for layer in &report.layers {
        text += &notes(layer);
    }
    text += &kinds(&report.total.shares);
    text += &largest(&report.total.largest);
    text + &sum(&report.total, report.link.as_ref())
}

fn compared(compared: &Compared) -> String {
    match compared {
        Compared::Store { root, is_there: false, .. } => {
            format!("compared with nothing: there is no store at `{root}`\n")
        }
        Compared::Store { root, image: Some(image), .. } => {
            format!("compared with the store at `{root}`, and with the paths of `{image}` in it\n")
        }
        Compared::Store { root, image: None, .. } => {
            format!("compared with the store at `{root}`, which has no other image of that repository\n")
        }
        Compared::Image { name, plain_layers: 0, .. } => format!("compared with `{name}`\n"),
        Compared::Image { name, plain_layers, .. } => {
            let layers = count(*plain_layers, "layer has", "layers have");
            format!("compared with `{name}`, of which {layers} no TOC: what is in there counts as not here\n")
        }
    }
}

fn table(layers: &[LayerEstimate]) -> String {
    let right = Align::Right;
    let mut table = Table::new("  ", [Align::Left, Align::Left, right, right, right, right, right, right]);
    table.row(
        ["layer", "comes", "blob", "metadata", "needed", "wasted", "requests", "time"].map(str::to_owned),
    );
    for LayerEstimate { blob, blob_len, how } in layers {
        let cells = how.fetch().map_or(["-"; 5].map(str::to_owned), cells);
        let [metadata, needed, wasted, requests, time] = cells;
        let blob_len = Bytes(*blob_len).to_string();
        table.row([short(blob), comes(how), blob_len, metadata, needed, wasted, requests, time]);
    }
    table.to_string()
}

fn cells(fetch: &Fetch) -> [String; 5] {
    let bytes = [fetch.metadata, fetch.needed, fetch.wasted].map(|len| Bytes(len).to_string());
    let [metadata, needed, wasted] = bytes;
    [metadata, needed, wasted, fetch.requests.to_string(), fetch.seconds.map_or("-".to_owned(), time)]
}

fn comes(how: &How) -> String {
    match how {
        How::Present => "is here".to_owned(),
        How::Whole { .. } => "whole".to_owned(),
        How::Parts { fetch, .. } => match fetch.strategy {
            Strategy::Nothing => "all files are here".to_owned(),
            strategy => strategy.to_string(),
        },
    }
}

/// Says why a layer is not fetched in parts, and lists the requests if they are wanted.
fn notes(layer: &LayerEstimate) -> String {
    let name = short(&layer.blob);
    let mut text = match &layer.how {
        How::Whole { why, .. } => format!("  {name} is read whole: {why}\n"),
        How::Present | How::Parts { .. } => String::new(),
    };
    for (index, request) in layer.how.fetch().into_iter().flat_map(|fetch| &fetch.plan).enumerate() {
        let _ = writeln!(text, "  {name} request {}: {}", index + 1, ranges(request));
    }
    text
}

/// Writes the ranges as a `Range` header has them.
fn ranges(request: &Request) -> String {
    let range = |range: &BlobRange| format!("{}-{}", range.start(), range.end().saturating_sub(1));
    let len = request.ranges.iter().fold(0, |sum: u64, range| sum.saturating_add(range.len()));
    let ranges: Vec<_> = request.ranges.iter().map(range).collect();
    format!("{}, bytes={}", Bytes(len), ranges.join(","))
}

fn kinds(shares: &Shares) -> String {
    let right = Align::Right;
    let mut table = Table::new("  ", [Align::Left, right, right, right, right, Align::Left]);
    table.row(["files", "count", "content", "known", "to fetch", ""].map(str::to_owned));
    let mut is_empty = true;
    for (kind, share) in Kind::ALL.map(|kind| (kind, shares.of(kind))) {
        if share.files == 0 {
            continue;
        }
        is_empty = false;
        let bytes = [share.len, share.known_len, share.fetch_len].map(|len| Bytes(len).to_string());
        let [len, known_len, fetch_len] = bytes;
        let meaning = meaning(kind).to_owned();
        table.row([kind.to_string(), share.files.to_string(), len, known_len, fetch_len, meaning]);
    }
    if is_empty { String::new() } else { table.to_string() }
}

fn meaning(kind: Kind) -> &'static str {
    match kind {
        Kind::Unchanged => "the same file at the same path",
        Kind::Times => "the same but for its times",
        Kind::Metadata => "the same content with another owner, mode or attributes",
        Kind::Moved => "the content is here, but not of that path",
        Kind::Duplicate => "the content comes with another file",
        Kind::Changed => "other content at the same path",
        Kind::New => "neither the path nor the content is here",
    }
}

fn largest(largest: &Largest) -> String {
    if largest.files().is_empty() {
        return String::new();
    }
    let mut table = Table::new("  ", [Align::Left, Align::Right, Align::Left]);
    table.row(["largest", "to fetch", "path"].map(str::to_owned));
    for file in largest.files() {
        table.row([file.kind.to_string(), Bytes(file.fetch_len).to_string(), path(&file.path)]);
    }
    table.to_string()
}

/// Keeps a path on its line.
fn path(path: &str) -> String {
    let path = path.replace('\n', "\u{fffd}");
    match path.char_indices().nth(PATH_LEN_MAX) {
        Some((end, _)) => format!("{}...", path.get(..end).unwrap_or_default()),
        None => path,
    }
}

fn sum(total: &Total, link: Option<&LinkReport>) -> String {
    let part = Percent { part: total.bytes, whole: total.blob_len };
    let requests = count(total.requests, "request", "requests");
    let (bytes, blob_len) = (Bytes(total.bytes), Bytes(total.blob_len));
    let mut text = format!("fetch  {bytes} of {blob_len} ({part}) in {requests}\n");
    text += &match (total.seconds, link) {
        _ if total.bytes == 0 => String::new(),
        (Some(seconds), Some(link)) => format!("takes  about {}, over {}\n", time(seconds), words(link)),
        _ => "takes  unknown, as nothing is known of the link; `--link 100Mbit,20ms` says what it is\n"
            .to_owned(),
    };
    text
}

fn words(link: &LinkReport) -> String {
    let how = if link.is_given { "" } else { " as measured before" };
    let megabits = link.bits_per_second / 1e6;
    let milliseconds = link.round_trip * 1e3;
    format!("{megabits:.1} Mbit/s with a round trip of {milliseconds:.1} ms{how}")
}

fn time(seconds: f64) -> String {
    Elapsed(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)).to_string()
}
