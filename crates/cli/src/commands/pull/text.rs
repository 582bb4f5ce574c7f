//! What a pull did, for people.

use std::fmt::Write as _;
use std::time::Duration;

use store::fetch::{FromSeed, Reused};
use store::pull::How;

use super::receipt::{LayerReceipt, Receipt};
use crate::ui::table::{Align, Table};
use crate::ui::words::{Bytes, Elapsed, Percent, count, short};

/// Lists every layer, and what all of them took.
pub(super) fn of(receipt: &Receipt) -> String {
    let mut text = String::new();
    for image in &receipt.images {
        let layers = count(image.layers.len() as u64, "layer", "layers");
        let _ = writeln!(text, "{}: {}, {layers}, {}", image.name, image.platform, image.manifest);
    }
    text += &table(&receipt.layers);
    for layer in &receipt.layers {
        text += &notes(layer);
    }
    let total = &receipt.total;
    let part = Percent { part: total.traffic.bytes, whole: total.blob_len };
    let _ = writeln!(
        text,
        "fetched  {} of {} ({part}) in {}, {}",
        Bytes(total.traffic.bytes),
        Bytes(total.blob_len),
        count(total.traffic.requests, "request", "requests"),
        Elapsed(Duration::from_secs_f64(total.seconds.max(0.0))),
    );
    for from in &total.seeds {
        let _ = writeln!(text, "seed     {}", seeded(from));
    }
    if total.traffic.retries > 0 {
        let _ = writeln!(text, "retries  {}", total.traffic.retries);
    }
    text
}

fn table(layers: &[LayerReceipt]) -> String {
    let right = Align::Right;
    let mut table =
        Table::new("  ", [Align::Left, Align::Left, right, right, right, right, right, Align::Left]);
    table.row(
        ["layer", "came", "blob", "fetched", "reused", "wasted", "requests", "state"].map(str::to_owned),
    );
    for LayerReceipt { state, report } in layers {
        let (came, reused, wasted) = match &report.how {
            How::Present => ("was here".to_owned(), None, 0),
            How::Whole { .. } => ("whole".to_owned(), None, 0),
            How::Parts(fetched) => {
                let way = fetched
                    .strategy
                    .map_or("nothing was missing".to_owned(), |strategy| strategy.to_string());
                (way, Some(fetched.reused.bytes()), fetched.wasted)
            }
        };
        table.row([
            short(&report.blob),
            came,
            Bytes(report.blob_len).to_string(),
            Bytes(report.traffic.bytes).to_string(),
            reused.map_or("-".to_owned(), |bytes| Bytes(bytes).to_string()),
            Bytes(wasted).to_string(),
            report.traffic.requests.to_string(),
            state.to_string(),
        ]);
    }
    table.to_string()
}

/// Says where things were reused from, and why something was not fetched in parts.
fn notes(layer: &LayerReceipt) -> String {
    let name = short(&layer.report.blob);
    match &layer.report.how {
        How::Present => String::new(),
        How::Whole { why, .. } => format!("  {name} was read whole: {why}\n"),
        How::Parts(fetched) => {
            let mut text = reused(&fetched.reused);
            if !text.is_empty() {
                text = format!("  {name} reused {text}\n");
            }
            fetched
                .replans
                .iter()
                .fold(text, |text, why| text + &format!("  {name} was planned anew: {why}\n"))
        }
    }
}

/// Says what came from a seed.
fn seeded(from: &FromSeed) -> String {
    let parts = [
        (from.files, "file", "files", ""),
        (from.chunks, "chunk", "chunks", " of other files"),
        (from.wrong, "miss", "misses", ": not what they seemed"),
    ];
    let parts = parts.into_iter().filter(|(what, ..)| what.count > 0);
    let words = parts.map(|(what, one, many, note)| {
        format!("{}{note} ({})", count(what.count, one, many), Bytes(what.bytes))
    });
    format!("{}: {}", from.seed, words.collect::<Vec<_>>().join(", "))
}

fn reused(reused: &Reused) -> String {
    let parts = [
        (reused.objects, "file", "files", "of the store"),
        (reused.same, "file", "files", "of the layer itself"),
        (reused.other_layers, "file", "files", "of lower layers"),
        (reused.chunks, "chunk", "chunks", "of other files"),
        (reused.resumed, "chunk", "chunks", "of an interrupted pull"),
    ];
    let parts = parts.into_iter().filter(|(what, ..)| what.count > 0);
    let words = parts.map(|(what, one, many, from)| {
        format!("{} {from} ({})", count(what.count, one, many), Bytes(what.bytes))
    });
    words.collect::<Vec<_>>().join(", ")
}
