//! What a layer is made of, in numbers, and who can use it.

mod clients;

use std::collections::BTreeMap;

use serde::Serialize;

pub use clients::{Client, Use, of_plain as clients_of_plain};

use crate::dialect::Dialect;
use crate::entry::{Chunk, ChunkKind};
use crate::layer::ChunkedLayer;
use crate::toc;

/// The numbers of one layer, all from its TOC.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stats {
    /// The format.
    pub dialect: Dialect,
    /// Bytes of the blob.
    pub blob_len: u64,
    /// The entries by their type in the TOC, with the sizes of their headers.
    pub entries: BTreeMap<&'static str, Tally>,
    /// The files that have bytes.
    pub files: Tally,
    /// Their pieces; a file in one piece counts as one.
    pub chunks: Tally,
    /// The pieces that are holes: they need not be fetched.
    pub zeros: Tally,
    /// Frames or gzip members that hold chunks.
    pub data_frames: u64,
    /// Bytes of the blob that they take.
    pub data_blob_len: u64,
    /// Bytes of the blob that hold nothing but tar headers and padding.
    pub headers_blob_len: u64,
    /// What a plain compressed tar would not have.
    pub metadata: Metadata,
    /// Who can use the layer, and how.
    pub clients: Vec<Client>,
}

/// How many of something, and how much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// Bytes of content.
    pub len: u64,
    /// Bytes of the blob.
    pub blob_len: u64,
}

/// The bytes that make a layer readable in parts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Metadata {
    /// Bytes of the compressed TOC.
    pub toc_blob_len: u64,
    /// Bytes of the TOC's JSON.
    pub toc_len: u64,
    /// Bytes of the compressed tar-split.
    pub tar_split_blob_len: u64,
    /// Bytes of the tar-split's JSON.
    pub tar_split_len: u64,
    /// Bytes of the blob after the tar: the above as compressed, their frames' headers, and the footer.
    pub blob_len: u64,
    /// How much of the blob that is.
    pub percent: f64,
}

impl Stats {
    /// Counts what is in a layer.
    pub fn of(layer: &ChunkedLayer) -> Self {
        let mut stats = Self {
            dialect: layer.dialect,
            blob_len: layer.blob_len,
            entries: BTreeMap::new(),
            files: Tally::default(),
            chunks: Tally::default(),
            zeros: Tally::default(),
            data_frames: 0,
            data_blob_len: 0,
            headers_blob_len: 0,
            metadata: Metadata::of(layer),
            clients: clients::of(layer),
        };
        let mut frames_end = 0;
        for entry in &layer.toc.entries {
            let content = entry.content.as_ref();
            let blob_len = content.map_or(0, |content| content.range.len());
            stats.entries.entry(toc::type_name(entry.kind)).or_default().add(entry.size, blob_len);
            if content.is_some() {
                stats.files.add(entry.size, blob_len);
            }
            for chunk in content.iter().flat_map(|content| &content.chunks) {
                stats.chunk(chunk, &mut frames_end);
            }
        }
        stats.headers_blob_len = layer.payload_len.saturating_sub(stats.data_blob_len);
        stats
    }

    /// Counts a chunk; `frames_end` is where the frames counted so far end.
    fn chunk(&mut self, chunk: &Chunk, frames_end: &mut u64) {
        let (len, blob_len) = (chunk.file.len(), chunk.blob.len());
        self.chunks.add(len, blob_len);
        if chunk.kind == ChunkKind::Zeros {
            self.zeros.add(len, blob_len);
        }
        // Files of eStargz can share a member.
        if chunk.blob.start() >= *frames_end {
            self.data_blob_len = self.data_blob_len.saturating_add(blob_len);
            self.data_frames = self.data_frames.saturating_add(1);
            *frames_end = chunk.blob.end();
        }
    }
}

impl Tally {
    fn add(&mut self, len: u64, blob_len: u64) {
        self.count = self.count.saturating_add(1);
        self.len = self.len.saturating_add(len);
        self.blob_len = self.blob_len.saturating_add(blob_len);
    }
}

impl Metadata {
    fn of(layer: &ChunkedLayer) -> Self {
        let blob_len = layer.blob_len.saturating_sub(layer.payload_len);
        let tar_split = layer.location.tar_split;
        Self {
            toc_blob_len: layer.location.toc.range.len(),
            toc_len: layer.location.toc.len,
            tar_split_blob_len: tar_split.map_or(0, |located| located.range.len()),
            tar_split_len: tar_split.map_or(0, |located| located.len),
            blob_len,
            percent: percent(blob_len, layer.blob_len),
        }
    }
}

/// Rounds to hundredths.
fn percent(part: u64, whole: u64) -> f64 {
    let hundredths =
        u128::from(part).saturating_mul(10_000).checked_div(u128::from(whole)).unwrap_or_default();
    hundredths as f64 / 100.0
}

#[cfg(test)]
mod tests;
