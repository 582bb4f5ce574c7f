use super::*;
use crate::digest::TocDigest;
use crate::entry::{Content, Entry, EntryKind};
use crate::location::{Located, Location};
use crate::range::{BlobRange, FileRange};
use crate::toc::{Toc, Trailer};

fn chunk(file: (u64, u64), blob: (u64, u64), kind: ChunkKind) -> Chunk {
    let (file, blob) = (FileRange::new(file.0, file.1).unwrap(), BlobRange::new(blob.0, blob.1).unwrap());
    Chunk { file, blob, inner_offset: 0, digest: None, kind }
}

fn file(size: u64, chunks: Vec<Chunk>) -> Entry {
    let (start, end) = (chunks.first().unwrap().blob.start(), chunks.last().unwrap().blob.end());
    let range = BlobRange::new(start, end).unwrap();
    let content = Some(Content { digest: None, range, chunks });
    Entry { size, content, ..Entry::new(EntryKind::Regular, "f") }
}

fn layer(dialect: Dialect, entries: Vec<Entry>) -> ChunkedLayer {
    let located = |offset| Located { range: BlobRange::saturating(offset, 50), len: 200 };
    ChunkedLayer {
        dialect,
        blob_len: 1188,
        location: Location { toc: located(1008), tar_split: Some(located(1066)) },
        payload_len: 1000,
        footer: None,
        toc: Toc { entries, trailer: Trailer { tar_split: None, has_end_offsets: true, len: 200 } },
        toc_blob: Vec::new(),
        toc_digest: TocDigest::of(b""),
        annotations: None,
        tar_split: None,
    }
}

#[test]
fn everything_is_counted_once() {
    let in_parts = vec![
        chunk((0, 10), (100, 150), ChunkKind::Data),
        chunk((10, 5000), (150, 170), ChunkKind::Zeros),
        chunk((5000, 5010), (170, 200), ChunkKind::Data),
    ];
    // The last two share a gzip member.
    let alone = vec![chunk((0, 7), (300, 340), ChunkKind::Data)];
    let entries = vec![
        Entry::new(EntryKind::Directory, "d"),
        file(5010, in_parts),
        Entry::new(EntryKind::Regular, "empty"),
        file(7, alone.clone()),
        file(7, alone),
    ];
    let mut stats = Stats::of(&layer(Dialect::Current, entries));
    stats.clients.clear();
    insta::assert_snapshot!(serde_json::to_string_pretty(&stats).unwrap(), @r#"
    {
      "dialect": "current",
      "blob_len": 1188,
      "entries": {
        "dir": {
          "count": 1,
          "len": 0,
          "blob_len": 0
        },
        "reg": {
          "count": 4,
          "len": 5024,
          "blob_len": 180
        }
      },
      "files": {
        "count": 3,
        "len": 5024,
        "blob_len": 180
      },
      "chunks": {
        "count": 5,
        "len": 5024,
        "blob_len": 180
      },
      "zeros": {
        "count": 1,
        "len": 4990,
        "blob_len": 20
      },
      "data_frames": 4,
      "data_blob_len": 140,
      "headers_blob_len": 860,
      "metadata": {
        "toc_blob_len": 50,
        "toc_len": 200,
        "tar_split_blob_len": 50,
        "tar_split_len": 200,
        "blob_len": 188,
        "percent": 15.82
      },
      "clients": []
    }
    "#);
}

#[test]
fn clients_depend_on_the_dialect() {
    let lines = |dialect| {
        let layer = layer(dialect, vec![file(1, vec![chunk((0, 1), (9, 20), ChunkKind::Data)])]);
        let clients = Stats::of(&layer).clients.into_iter();
        let lines: Vec<_> =
            clients.map(|client| format!("{}: {:?}, {}", client.name, client.can, client.reason)).collect();
        lines.join("\n")
    };
    insta::assert_snapshot!(lines(Dialect::Current), @"
    podman, CRI-O, buildah, skopeo: Partial, once the descriptor has the annotations; they never look at the footer
    stargz-snapshotter: Whole, it looks for other annotations and a 40-byte footer
    containerd, Docker 23 or newer, umoci 0.6 or newer: Whole, it is a zstd layer to them
    without zstd: Docker before 23, umoci before 0.5: Fails, the layer is zstd
    decoders of a single frame, bootc's composefs backend: Fails, they see the first of many frames and take the tar for truncated
    ");
    insta::assert_snapshot!(lines(Dialect::UnverifiedTarSplit), @"
    podman, CRI-O, buildah, skopeo: Whole, the TOC does not vouch for a tar-split, which they ask for unless set to insecure
    stargz-snapshotter: Whole, it looks for other annotations and a 40-byte footer
    containerd, Docker 23 or newer, umoci 0.6 or newer: Whole, a zstd layer to them; writers of that time may have dropped the tar's last zeros, and with them its DiffID
    without zstd: Docker before 23, umoci before 0.5: Fails, the layer is zstd
    decoders of a single frame, bootc's composefs backend: Fails, they see the first of many frames and take the tar for truncated
    ");
    insta::assert_snapshot!(lines(Dialect::WithoutTarSplit), @"
    podman, CRI-O, buildah, skopeo: Whole, the TOC does not vouch for a tar-split, which they ask for unless set to insecure
    stargz-snapshotter: Whole, the descriptor has no digest of the plain TOC
    containerd, Docker 23 or newer, umoci 0.6 or newer: Whole, a zstd layer to them; writers of that time may have dropped the tar's last zeros, and with them its DiffID
    without zstd: Docker before 23, umoci before 0.5: Fails, the layer is zstd
    decoders of a single frame, bootc's composefs backend: Fails, they see the first of many frames and take the tar for truncated
    ");
    insta::assert_snapshot!(lines(Dialect::StargzZstd), @"
    podman, CRI-O, buildah, skopeo: Whole, they take it for eStargz, whose tar they cannot verify in parts
    stargz-snapshotter: Partial, once the descriptor has the annotations
    containerd, Docker 23 or newer, umoci 0.6 or newer: Whole, it is a zstd layer to them
    without zstd: Docker before 23, umoci before 0.5: Fails, the layer is zstd
    decoders of a single frame, bootc's composefs backend: Fails, they see the first of many frames and take the tar for truncated
    ");
    insta::assert_snapshot!(lines(Dialect::Estargz), @"
    podman, CRI-O, buildah, skopeo: Whole, they take it for eStargz, whose tar they cannot verify in parts
    stargz-snapshotter: Partial, once the descriptor has the annotations
    containerd, Docker 23 or newer, umoci 0.6 or newer: Whole, it is a gzip layer to them
    without zstd: Docker before 23, umoci before 0.5: Whole, the layer is not zstd
    decoders of a single frame, bootc's composefs backend: Fails, they see the first of many frames and take the tar for truncated
    ");
    insta::assert_snapshot!(lines(Dialect::LegacyStargz), @"
    podman, CRI-O, buildah, skopeo: Whole, they do not know the dialect
    stargz-snapshotter: Partial, where verification is off, as the dialect has no digest of its TOC
    containerd, Docker 23 or newer, umoci 0.6 or newer: Whole, it is a gzip layer to them
    without zstd: Docker before 23, umoci before 0.5: Whole, the layer is not zstd
    decoders of a single frame, bootc's composefs backend: Fails, they see the first of many frames and take the tar for truncated
    ");
}

#[test]
fn plain_layers_have_the_same_clients() {
    use crate::input::Compression;
    let names = |clients: &[Client]| clients.iter().map(|client| client.name).collect::<Vec<_>>();
    let chunked = Stats::of(&layer(Dialect::Current, Vec::new())).clients;
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let plain = clients_of_plain(compression);
        assert_eq!(names(&plain), names(&chunked));
        assert!(plain.iter().all(|client| client.can != Use::Partial));
        assert_eq!(plain.iter().any(|client| client.can == Use::Fails), compression == Compression::Zstd);
    }
}

#[test]
fn a_layer_without_content_is_one_frame() {
    let clients = Stats::of(&layer(Dialect::Current, vec![Entry::new(EntryKind::Directory, "d")])).clients;
    assert_eq!(clients.last().unwrap().can, Use::Whole);
}
