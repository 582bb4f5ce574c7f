//! What a layer is made of, for people and for programs.

use std::fmt::Write as _;
use std::io::Read;

use chunked::input::Compression;
use chunked::layer::{ChunkedLayer, Layer, PlainReason};
use chunked::stats::{Client, Stats, Use, clients_of_plain};
use chunked::{BlobRange, RangeSource, TocDigest};
use serde::Serialize;

use crate::ui::table::{Align, Table};
use crate::ui::words::{Bytes, count};

/// What a layer is.
#[derive(Debug, Serialize)]
#[serde(tag = "format", rename_all = "lowercase")]
pub(super) enum Summary {
    /// It has a TOC.
    Chunked(Box<Chunked>),
    /// It has none that can be used.
    Plain(Plain),
}

/// A layer with a TOC.
#[derive(Debug, Serialize)]
pub(super) struct Chunked {
    toc_digest: TocDigest,
    /// Whether the descriptor holds the digest of the TOC.
    is_vouched_for: bool,
    #[serde(flatten)]
    stats: Stats,
}

/// A layer without a TOC.
#[derive(Debug, Serialize)]
pub(super) struct Plain {
    compression: Compression,
    blob_len: u64,
    /// Why it can only be used whole.
    why: String,
    clients: Vec<Client>,
}

impl Summary {
    /// Sums up a layer that was opened from `blob`.
    pub(super) fn of(layer: &Layer, blob: &dyn RangeSource) -> Result<Self, chunked::Error> {
        match layer {
            Layer::Chunked(layer) => Ok(Self::Chunked(Box::new(Chunked::of(layer)))),
            Layer::Plain { why } => Plain::of(why, blob).map(Self::Plain),
        }
    }

    /// Lists who can use the layer.
    pub(super) fn clients(&self) -> &[Client] {
        match self {
            Self::Chunked(chunked) => &chunked.stats.clients,
            Self::Plain(plain) => &plain.clients,
        }
    }

    /// Writes it in the columns of a table: format, entries, chunks, share of the metadata.
    pub(super) fn cells(&self) -> [String; 4] {
        let none = || "-".to_owned();
        match self {
            Self::Chunked(chunked) => {
                let Stats { dialect, entries, chunks, metadata, .. } = &chunked.stats;
                let total: u64 = entries.values().map(|tally| tally.count).sum();
                let share = format!("{} %", metadata.percent);
                [dialect.to_string(), total.to_string(), chunks.count.to_string(), share]
            }
            Self::Plain(plain) => [plain.compression.to_string(), none(), none(), none()],
        }
    }

    /// Writes it for people, under the name of the layer.
    pub(super) fn to_text(&self, name: &str) -> String {
        match self {
            Self::Chunked(chunked) => chunked.to_text(name),
            Self::Plain(plain) => plain.to_text(name),
        }
    }
}

impl Chunked {
    fn of(layer: &ChunkedLayer) -> Self {
        Self { toc_digest: layer.toc_digest, is_vouched_for: layer.is_vouched_for(), stats: Stats::of(layer) }
    }

    fn to_text(&self, name: &str) -> String {
        let mut text = format!("{name}: {}\n", self.stats.dialect);
        for (name, value) in self.rows() {
            let _ = writeln!(text, "  {name:<9} {value}");
        }
        text + &clients(&self.stats.clients)
    }

    fn rows(&self) -> Vec<(&'static str, String)> {
        let Stats { blob_len, entries, files, chunks, zeros, metadata, .. } = &self.stats;
        let kinds: Vec<_> = entries.iter().map(|(kind, tally)| format!("{} {kind}", tally.count)).collect();
        let total: u64 = entries.values().map(|tally| tally.count).sum();
        let vouched = if self.is_vouched_for { "as the descriptor says" } else { "not in a descriptor" };
        let mut rows = vec![
            ("blob", Bytes(*blob_len).to_string()),
            ("entries", format!("{total}: {}", kinds.join(", "))),
            ("files", format!("{} with {} of content", files.count, Bytes(files.len))),
            ("chunks", format!("{}, {} as compressed", chunks.count, Bytes(chunks.blob_len))),
        ];
        if zeros.count > 0 {
            rows.push((
                "holes",
                format!(
                    "{} with {} of zeros, never fetched",
                    count(zeros.count, "chunk", "chunks"),
                    Bytes(zeros.len)
                ),
            ));
        }
        rows.extend([
            (
                "frames",
                format!(
                    "{} with content; headers and padding take {}",
                    self.stats.data_frames,
                    Bytes(self.stats.headers_blob_len)
                ),
            ),
            ("metadata", format!("{}, {} % of the blob", Bytes(metadata.blob_len), metadata.percent)),
            ("", format!("TOC {} of {} JSON", Bytes(metadata.toc_blob_len), Bytes(metadata.toc_len))),
        ]);
        if metadata.tar_split_blob_len > 0 {
            let (blob_len, len) = (Bytes(metadata.tar_split_blob_len), Bytes(metadata.tar_split_len));
            rows.push(("", format!("tar-split {blob_len} of {len} JSON")));
        }
        rows.push(("TOC", format!("{}, {vouched}", self.toc_digest)));
        rows
    }
}

/// Lists who can use a layer or an image, and how.
pub(super) fn used_by(
    uses: impl IntoIterator<Item = (&'static str, String, &'static str)>,
    indent: &str,
) -> String {
    let mut table = Table::new(&format!("{indent}  "), [Align::Left; 3]);
    for (name, how, reason) in uses {
        table.row([name.to_owned(), how, reason.to_owned()]);
    }
    format!("{indent}used by\n{table}")
}

/// Says how a client can use something.
pub(super) fn how(can: Use) -> &'static str {
    match can {
        Use::Partial => "in parts",
        Use::Whole => "whole",
        Use::Fails => "not at all",
    }
}

fn clients(clients: &[Client]) -> String {
    used_by(clients.iter().map(|client| (client.name, how(client.can).to_owned(), client.reason)), "  ")
}

impl Plain {
    fn of(why: &PlainReason, blob: &dyn RangeSource) -> Result<Self, chunked::Error> {
        let failed = |source| chunked::Error::Read { what: "the blob", source };
        let mut bytes = Vec::new();
        if let Some(start) = BlobRange::with_len(0, blob.blob_len().min(4)) {
            blob.read_range(start).and_then(|mut start| start.read_to_end(&mut bytes)).map_err(failed)?;
        }
        let compression = Compression::sniff(&bytes);
        Ok(Self {
            compression,
            blob_len: blob.blob_len(),
            why: why.to_string(),
            clients: clients_of_plain(compression),
        })
    }

    fn to_text(&self, name: &str) -> String {
        let mut text = format!("{name}: {}, not chunked\n", self.compression);
        for (name, value) in [("blob", Bytes(self.blob_len).to_string()), ("why", self.why.clone())] {
            let _ = writeln!(text, "  {name:<9} {value}");
        }
        text + &clients(&self.clients)
    }
}
