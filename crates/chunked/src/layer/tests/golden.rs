//! Blobs that other tools wrote. A new one is a folder of `testdata/` with `blob` and `descriptor.json`.

use std::fs;
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use super::*;
use crate::digest::ContentDigest;
use crate::entry::{Chunk, ChunkKind, Content, EntryKind};
use crate::zstd_read::ZstdReader;

fn golden() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata");
    let folders = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> = folders.filter(|path| path.join("descriptor.json").exists()).collect();
    folders.sort();
    folders
}

fn built(folder: &Path) -> Built {
    let descriptor: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("descriptor.json")).unwrap()).unwrap();
    let annotations = serde_json::from_value(descriptor["annotations"].clone()).unwrap();
    Built { blob: fs::read(folder.join("blob")).unwrap(), annotations }
}

/// Decodes a chunk from its bytes of the blob and no others.
fn decode(layer: &ChunkedLayer, blob: &[u8], chunk: &Chunk) -> Vec<u8> {
    let bytes = &blob[chunk.blob.start() as usize..chunk.blob.end() as usize];
    let mut content = Vec::new();
    let count = if layer.dialect.is_gzip() {
        MultiGzDecoder::new(bytes).read_to_end(&mut content)
    } else {
        ZstdReader::new(bytes).unwrap().read_to_end(&mut content)
    };
    count.unwrap();
    let end = (chunk.inner_offset + chunk.file.len()) as usize;
    assert!(layer.dialect.frames_go_on() || content.len() == end, "{chunk:?}");
    content.drain(chunk.inner_offset as usize..end).collect()
}

fn check_content(layer: &ChunkedLayer, blob: &[u8], content: &Content) {
    let mut whole = Vec::new();
    for chunk in &content.chunks {
        let bytes = decode(layer, blob, chunk);
        assert!(chunk.kind == ChunkKind::Data || bytes.iter().all(|byte| *byte == 0));
        if let Some(digest) = chunk.digest {
            assert_eq!(ContentDigest::of(&bytes), digest);
        }
        whole.extend(bytes);
    }
    if let Some(digest) = content.digest {
        assert_eq!(ContentDigest::of(&whole), digest);
    }
}

fn summary(folder: &Path, layer: &ChunkedLayer) -> String {
    let contents = || layer.toc.entries.iter().filter_map(|entry| entry.content.as_ref());
    let chunks = contents().flat_map(|content| &content.chunks);
    let zeros = chunks.clone().filter(|chunk| chunk.kind == ChunkKind::Zeros).count();
    let tar_split = match &layer.tar_split {
        Some(tar_split) if tar_split.is_verified => "verified tar-split",
        Some(_) => "unverified tar-split",
        None => "no tar-split",
    };
    format!(
        "{}: {}, {} entries, {} with content in {} chunks, {zeros} zeros, {tar_split}",
        folder.file_name().unwrap().display(),
        layer.dialect,
        layer.toc.entries.len(),
        contents().count(),
        chunks.count(),
    )
}

#[test]
fn blobs_of_other_tools_open_and_hold_what_they_say() {
    let mut summaries = Vec::new();
    for folder in golden() {
        let built = built(&folder);
        let layer = built.chunked();
        for content in layer.toc.entries.iter().filter_map(|entry| entry.content.as_ref()) {
            check_content(&layer, &built.blob, content);
        }
        summaries.push(summary(&folder, &layer));
    }
    insta::assert_snapshot!(summaries.join("\n"), @"
    ctr-remote-0.14.3-estargz: eStargz, 29 entries, 17 with content in 21 chunks, 0 zeros, no tar-split
    ctr-remote-0.14.3-zstdchunked: zstd:chunked of stargz-snapshotter, 29 entries, 17 with content in 21 chunks, 0 zeros, no tar-split
    skopeo-1.18.0: zstd:chunked (containers/storage 1.54 or newer), 28 entries, 16 with content in 24 chunks, 3 zeros, verified tar-split
    skopeo-1.22.0: zstd:chunked (containers/storage 1.54 or newer), 28 entries, 16 with content in 24 chunks, 3 zeros, verified tar-split
    skopeo-1.9.3: zstd:chunked without tar-split (containers/storage up to 1.46), 28 entries, 16 with content in 24 chunks, 3 zeros, no tar-split
    ");
}

#[test]
fn blobs_of_other_tools_open_without_annotations() {
    for folder in golden() {
        let (built, name) = (built(&folder), folder.display());
        let (bare, annotated) = (built.bare().chunked(), built.chunked());
        assert_eq!((bare.dialect, &bare.toc), (annotated.dialect, &annotated.toc), "{name}");
        assert_eq!(bare.toc_digest, annotated.toc_digest, "{name}");
    }
}

#[test]
fn the_same_tar_has_the_same_entries_in_every_dialect_of_one_family() {
    let entries = |name: &str| {
        let folders = golden();
        let folder = folders.iter().find(|folder| folder.ends_with(name)).unwrap();
        let mut entries = built(folder).chunked().toc.entries;
        // Where things are in the blob depends on the compressor.
        for content in entries.iter_mut().filter_map(|entry| entry.content.as_mut()) {
            content.range = BlobRange::saturating(0, 0);
            content.chunks.iter_mut().for_each(|chunk| chunk.blob = content.range);
        }
        entries
    };
    let newest = entries("skopeo-1.22.0");
    assert!(newest.iter().any(|entry| entry.kind == EntryKind::CharDevice));
    assert_eq!(newest, entries("skopeo-1.18.0"));
    assert_eq!(newest, entries("skopeo-1.9.3"));
}
