use serde::Serialize;

use crate::annotations::{Annotations, Prefix};
use crate::dialect::Dialect;
use crate::input::Compression;
use crate::layer::ChunkedLayer;

/// What a kind of client can do with a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Client {
    /// The client.
    pub name: &'static str,
    /// What it can do.
    pub can: Use,
    /// Why, in one line.
    pub reason: &'static str,
}

/// How a layer can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Use {
    /// In parts: only what is missing, or only when it is read.
    Partial,
    /// As a whole, like any other layer.
    Whole,
    /// Not at all.
    Fails,
}

/// Lists what is known of clients and the layer's dialect, as of 2026.
pub(super) fn of(layer: &ChunkedLayer) -> Vec<Client> {
    list([
        containers_storage(layer),
        stargz_snapshotter(layer),
        plain_decoder(layer.dialect),
        gzip_decoder(layer.dialect.is_gzip()),
        single_frame_decoder(layer),
    ])
}

/// Lists the same clients for a layer without a TOC, which none of them uses in parts.
pub fn of_plain(compression: Compression) -> Vec<Client> {
    let is_zstd = compression == Compression::Zstd;
    let single_frame = match is_zstd {
        true => "only if it is a single frame, which was not checked",
        false => "it is not zstd",
    };
    list([
        (Use::Whole, "it has no TOC"),
        (Use::Whole, "it has no TOC"),
        (Use::Whole, if is_zstd { "it is a zstd layer to them" } else { "every client can" }),
        gzip_decoder(!is_zstd),
        (Use::Whole, single_frame),
    ])
}

fn list(what: [(Use, &'static str); 5]) -> Vec<Client> {
    const NAMES: [&str; 5] = [
        "podman, CRI-O, buildah, skopeo",
        "stargz-snapshotter",
        "containerd, Docker 23 or newer, umoci 0.6 or newer",
        "without zstd: Docker before 23, umoci before 0.5",
        "decoders of a single frame, bootc's composefs backend",
    ];
    NAMES.into_iter().zip(what).map(|(name, (can, reason))| Client { name, can, reason }).collect()
}

fn containers_storage(layer: &ChunkedLayer) -> (Use, &'static str) {
    let has_old_keys =
        matches!(layer.annotations, Some(Annotations::ZstdChunked { prefix: Prefix::Old, .. }));
    match layer.dialect {
        Dialect::Current if layer.is_vouched_for() => {
            (Use::Partial, "where `enable_partial_images` is on, which it is not by default")
        }
        Dialect::Current => {
            (Use::Partial, "once the descriptor has the annotations; they never look at the footer")
        }
        Dialect::StargzZstd | Dialect::Estargz => {
            (Use::Whole, "they take it for eStargz, whose tar they cannot verify in parts")
        }
        Dialect::LegacyStargz => (Use::Whole, "they do not know the dialect"),
        _ if has_old_keys => (Use::Whole, "they no longer look at annotations with the old prefix"),
        _ => {
            (Use::Whole, "the TOC does not vouch for a tar-split, which they ask for unless set to insecure")
        }
    }
}

fn stargz_snapshotter(layer: &ChunkedLayer) -> (Use, &'static str) {
    match layer.dialect {
        Dialect::Estargz | Dialect::StargzZstd if layer.is_vouched_for() => (Use::Partial, "its own dialect"),
        Dialect::Estargz | Dialect::StargzZstd => (Use::Partial, "once the descriptor has the annotations"),
        Dialect::LegacyStargz => {
            (Use::Partial, "where verification is off, as the dialect has no digest of its TOC")
        }
        Dialect::WithoutTarSplit => (Use::Whole, "the descriptor has no digest of the plain TOC"),
        _ => (Use::Whole, "it looks for other annotations and a 40-byte footer"),
    }
}

fn plain_decoder(dialect: Dialect) -> (Use, &'static str) {
    match dialect {
        Dialect::Estargz | Dialect::LegacyStargz => (Use::Whole, "it is a gzip layer to them"),
        Dialect::Current | Dialect::StargzZstd => (Use::Whole, "it is a zstd layer to them"),
        Dialect::WithoutTarSplit | Dialect::ShortFooter | Dialect::UnverifiedTarSplit => (
            Use::Whole,
            "a zstd layer to them; writers of that time may have dropped the tar's last zeros, and with them its DiffID",
        ),
    }
}

fn gzip_decoder(is_gzip: bool) -> (Use, &'static str) {
    if is_gzip { (Use::Whole, "the layer is not zstd") } else { (Use::Fails, "the layer is zstd") }
}

fn single_frame_decoder(layer: &ChunkedLayer) -> (Use, &'static str) {
    if layer.toc.entries.iter().any(|entry| entry.content.is_some()) {
        (Use::Fails, "they see the first of many frames and take the tar for truncated")
    } else {
        (Use::Whole, "without file content the whole tar is in the first frame")
    }
}
