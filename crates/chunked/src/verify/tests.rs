mod golden;

use std::io::Write as _;

use flate2::write::GzEncoder;

use super::*;
use crate::annotations;
use crate::audit::tests::{Piece, members, pieces, split_of, tar_of};
use crate::digest::{ContentDigest, TarSplitDigest, TocDigest};
use crate::entry::{Chunk, ChunkKind, Content, Entry};
use crate::footer;
use crate::location::{Located, Location};
use crate::range::FileRange;
use crate::testing::{skippable_frame, zstd_frame};
use crate::toc;

/// A layer in parts, to be spoiled before it is put together.
struct Parts {
    pieces: Vec<Piece>,
    /// Frames of the tar.
    frames: Vec<u8>,
    entries: Vec<Entry>,
    tar_split: Vec<u8>,
    /// Added to the announced lengths of TOC and tar-split.
    lens: [u64; 2],
    /// The digest of the tar-split in the TOC, if not the right one.
    tar_split_digest: Option<TarSplitDigest>,
}

/// A layer put together.
struct Layer {
    blob: Vec<u8>,
    tar: Vec<u8>,
    location: Location,
    toc_digest: TocDigest,
}

/// Bytes of a chunk in the sample: small, so that its files have several.
const CHUNK_LEN: usize = 1000;

impl Parts {
    fn new(pieces: Vec<Piece>) -> Self {
        let tar = tar_of(&pieces);
        let mut parts = Self {
            frames: Vec::new(),
            entries: members(&tar).iter().map(|member| member.to_entry().unwrap()).collect(),
            tar_split: split_of(&pieces),
            lens: [0, 0],
            tar_split_digest: None,
            pieces,
        };
        let mut raw = Vec::new();
        for (index, (header, content)) in parts.pieces.iter().enumerate() {
            raw.extend_from_slice(header);
            if !content.is_empty() {
                parts.frames.extend(zstd_frame(&raw));
                parts.entries[index].content = Some(framed(content, &mut parts.frames));
                raw = vec![0; content.len().next_multiple_of(512) - content.len()];
            }
        }
        raw.extend([0; 1024]);
        parts.frames.extend(zstd_frame(&raw));
        parts
    }

    fn assemble(&self) -> Layer {
        let tar_split = zstd_frame(&self.tar_split);
        let digest = self.tar_split_digest.unwrap_or_else(|| TarSplitDigest::of(&tar_split));
        let mut json = toc::Writer::new(Vec::new()).unwrap();
        self.entries.iter().for_each(|entry| json.entry(entry).unwrap());
        let json = json.finish(Some(&digest)).unwrap();
        let toc = zstd_frame(&json);
        let mut blob = self.frames.clone();
        let mut place = |document: &[u8], len: u64| {
            let start = blob.len() as u64 + 8;
            blob.extend(skippable_frame(document));
            Located { range: BlobRange::saturating(start, document.len() as u64), len }
        };
        let location = Location {
            toc: place(&toc, json.len() as u64 + self.lens[0]),
            tar_split: Some(place(&tar_split, self.tar_split.len() as u64 + self.lens[1])),
        };
        blob.extend(footer::encode(&location));
        Layer { blob, tar: tar_of(&self.pieces), location, toc_digest: TocDigest::of(&toc) }
    }
}

/// Appends the frames of a file, and describes them.
fn framed(content: &[u8], frames: &mut Vec<u8>) -> Content {
    let (start, mut chunks, mut at) = (frames.len() as u64, Vec::new(), 0);
    for piece in content.chunks(CHUNK_LEN) {
        let blob_start = frames.len() as u64;
        frames.extend(zstd_frame(piece));
        chunks.push(Chunk {
            file: FileRange::saturating(at, piece.len() as u64),
            blob: BlobRange::new(blob_start, frames.len() as u64).unwrap(),
            inner_offset: 0,
            digest: Some(ContentDigest::of(piece)),
            kind: if piece.iter().all(|byte| *byte == 0) { ChunkKind::Zeros } else { ChunkKind::Data },
        });
        at += piece.len() as u64;
    }
    let range = BlobRange::new(start, frames.len() as u64).unwrap();
    Content { digest: Some(ContentDigest::of(content)), range, chunks }
}

/// The members of the audit's tests, and a file of three chunks, the second of them a hole.
fn sample() -> Vec<Piece> {
    let mut content = b"0123456789".repeat(250);
    content[1000..2000].fill(0);
    let header = crate::tar::tests::block(b"large", b'0', "00000004704", |_| {});
    let mut pieces = pieces();
    pieces.push((header, content.leak()));
    pieces
}

impl Layer {
    fn annotations(&self) -> Annotations {
        let map = annotations::encode(&self.toc_digest, &self.location);
        Annotations::parse(|key| map.get(key).map(String::as_str)).unwrap().unwrap()
    }

    fn verify(&self) -> Report {
        let annotations = self.annotations();
        let expected = Expected {
            annotations: Some(&annotations),
            blob_digest: None,
            diff_id: Some(DiffId::of(&self.tar)),
        };
        verify(self.blob.as_slice(), &expected, &Limits::default()).unwrap()
    }
}

fn lines(report: &Report) -> String {
    let line = |check: &Check| format!("{}: {}: {}", check.name, check.outcome, check.detail);
    report.checks.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The failed checks of a layer that is spoiled before it is put together.
fn failures(spoil: impl FnOnce(&mut Parts)) -> String {
    let mut parts = Parts::new(sample());
    spoil(&mut parts);
    failed_checks(&parts.assemble().verify())
}

fn failed_checks(report: &Report) -> String {
    let failed = report.checks.iter().filter(|check| check.outcome == Outcome::Failed);
    let lines: Vec<String> = failed.map(|check| format!("{}: {}", check.name, check.detail)).collect();
    assert_eq!(report.verdict == Verdict::Damaged, !lines.is_empty());
    lines.join("\n")
}

#[test]
fn a_layer_that_is_right_is_proven() {
    let layer = Parts::new(sample()).assemble();
    let report = layer.verify();
    assert_eq!((report.verdict, report.dialect), (Verdict::Proven, Some(Dialect::Current)));
    assert_eq!((report.members, report.files, report.chunks), (4, 2, 4));
    insta::assert_snapshot!(lines(&report), @"
    blob digest: not applicable: no digest of the blob was given
    frames: passed: 7 frames
    tar: passed: 4 members, 7168 bytes
    diff ID: passed: sha256:79ac3f3cc66fb8c5565448daddb967e8615b6049bbaa1867cbb6fa54efe0129d
    TOC: passed: zstd:chunked (containers/storage 1.54 or newer)
    TOC digest: passed: sha256:66d5d1ff93eb702982db4c425d9636d22c7eeaee62ea9be42f70247611354851
    TOC and tar: passed: 4 entries
    ranges: passed: 4 chunks of 2 files
    chunk digests: passed: 3 chunks
    file digests: passed: 2 files
    tar-split digest: passed: sha256:485e67d065f7e22d55b930319c872cd538514c4a1431500c735ad7fca4c7370c
    tar-split: passed: rebuilds the tar
    ");
}

#[test]
fn a_report_is_plain_json() {
    let layer = Layer { blob: b"junk".to_vec(), ..Parts::new(sample()).assemble() };
    let mut report = verify(layer.blob.as_slice(), &Expected::default(), &Limits::default()).unwrap();
    report.checks.truncate(3);
    insta::assert_snapshot!(serde_json::to_string_pretty(&report).unwrap(), @r#"
    {
      "verdict": "damaged",
      "dialect": null,
      "blob_digest": "sha256:ef875a1705a5fdac206be996f4dc1f726ea6b68861eb741c37def7277f179e37",
      "blob_len": 4,
      "diff_id": "sha256:ef875a1705a5fdac206be996f4dc1f726ea6b68861eb741c37def7277f179e37",
      "tar_len": 4,
      "members": 0,
      "files": 0,
      "chunks": 0,
      "checks": [
        {
          "name": "blob-digest",
          "outcome": "not-applicable",
          "detail": "no digest of the blob was given"
        },
        {
          "name": "frames",
          "outcome": "passed",
          "detail": "0 frames"
        },
        {
          "name": "tar",
          "outcome": "failed",
          "detail": "tar ends 508 bytes early"
        }
      ]
    }
    "#);
}

#[test]
fn a_layer_alone_is_consistent() {
    let layer = Parts::new(sample()).assemble();
    let report = verify(layer.blob.as_slice(), &Expected::default(), &Limits::default()).unwrap();
    assert_eq!(report.verdict, Verdict::Consistent);
    insta::assert_snapshot!(lines(&report), @"
    blob digest: not applicable: no digest of the blob was given
    frames: passed: 7 frames
    tar: passed: 4 members, 7168 bytes
    diff ID: not applicable: no diff ID was given
    TOC: passed: zstd:chunked (containers/storage 1.54 or newer)
    TOC digest: not applicable: no annotation holds its digest
    TOC and tar: passed: 4 entries
    ranges: passed: 4 chunks of 2 files
    chunk digests: passed: 3 chunks
    file digests: passed: 2 files
    tar-split digest: passed: sha256:485e67d065f7e22d55b930319c872cd538514c4a1431500c735ad7fca4c7370c
    tar-split: passed: rebuilds the tar
    ");
}

#[test]
fn wrong_digests_are_found() {
    let other = ContentDigest::of(b"other");
    let found = [
        failures(|parts| parts.entries[1].content.as_mut().unwrap().digest = Some(other)),
        failures(|parts| parts.entries[3].content.as_mut().unwrap().chunks[2].digest = Some(other)),
        failures(|parts| parts.entries[3].content.as_mut().unwrap().chunks[0].kind = ChunkKind::Zeros),
        failures(|parts| parts.tar_split_digest = Some(TarSplitDigest::of(b"other"))),
    ];
    insta::assert_snapshot!(found.join("\n"), @"
    file digests: `dir/file` has the digest sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03, expected sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa
    chunk digests: the chunk at byte 2000 of `large` has the digest sha256:fab6d25d512442fc25ce3b1304a014240c059c6a5f619201fe97681c235a8bbf, expected sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa
    chunk digests: the chunk at byte 0 of `large` is not zeros, as the TOC has it
    tar-split digest: sha256:485e67d065f7e22d55b930319c872cd538514c4a1431500c735ad7fca4c7370c, expected sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa
    ");
}

#[test]
fn wrong_places_are_found() {
    let shift = |chunk: &mut Chunk, start: i64, end: i64| {
        let move_by = |offset: u64, by: i64| offset.checked_add_signed(by).unwrap();
        let Chunk { blob, .. } = *chunk;
        chunk.blob = BlobRange::new(move_by(blob.start(), start), move_by(blob.end(), end)).unwrap();
    };
    let found = [
        failures(|parts| {
            let content = parts.entries[1].content.as_mut().unwrap();
            shift(&mut content.chunks[0], 1, 0);
            content.range = content.chunks[0].blob;
        }),
        failures(|parts| {
            let content = parts.entries[1].content.as_mut().unwrap();
            shift(&mut content.chunks[0], 0, -1);
            content.range = content.chunks[0].blob;
        }),
        failures(|parts| {
            let chunks = &mut parts.entries[3].content.as_mut().unwrap().chunks;
            shift(&mut chunks[0], 0, 2);
            shift(&mut chunks[1], 2, 0);
        }),
    ];
    insta::assert_snapshot!(found.join("\n"), @"
    ranges: byte 0 of `dir/file`: no frame is cut at byte 184 of the blob there
    ranges: after the end of a file: no frame is cut at byte 197 of the blob there
    ranges: byte 1000 of `large`: no frame is cut at byte 342 of the blob there
    ");
}

#[test]
fn wrong_metadata_is_found() {
    let found = [
        failures(|parts| parts.entries[0].mode = 0o777),
        failures(|parts| drop(parts.entries.remove(2))),
        failures(|parts| parts.entries.push(Entry::new(crate::EntryKind::Fifo, "pipe"))),
    ];
    insta::assert_snapshot!(found.join("\n"), @"
    TOC and tar: mode of `dir/` is 0777 in the TOC, 0644 in the tar
    TOC and tar: entry of `null` is absent in the TOC, present in the tar
    TOC and tar: entry of `pipe` is present in the TOC, absent in the tar
    ");
}

#[test]
fn wrong_lengths_are_found() {
    let found = [failures(|parts| parts.lens = [1, 0]), failures(|parts| parts.lens = [0, 1])];
    insta::assert_snapshot!(found.join("\n"), @"
    TOC: the TOC is 1265 bytes long, expected 1266
    tar-split: record 9 of the tar-split ends the stream after 6667 bytes, expected 6668
    ");
}

#[test]
fn metadata_beyond_the_limits_is_not_checked() {
    let unchecked = |lens: [u64; 2]| {
        let mut parts = Parts::new(sample());
        parts.lens = lens;
        let report = parts.assemble().verify();
        assert_eq!((report.verdict, report.dialect), (Verdict::Proven, None));
        report.check(Name::Toc).unwrap().detail.clone()
    };
    insta::assert_snapshot!([unchecked([1 << 40, 0]), unchecked([0, 1 << 40])].join("\n"), @"
    the TOC takes 1099511629041 bytes, the limit is 1073741824
    the tar-split takes 1099511634443 bytes, the limit is 4294967296
    ");
}

#[test]
fn a_tar_split_that_does_not_rebuild_the_tar_is_found() {
    let replace = |from: &'static str, to: &'static str| {
        move |parts: &mut Parts| {
            let text = String::from_utf8(parts.tar_split.clone()).unwrap();
            assert!(text.contains(from), "{text}");
            parts.tar_split = text.replacen(from, to, 1).into_bytes();
        }
    };
    let found = [
        failures(replace(r#""payload":"ZGlyL"#, r#""payload":"ZGlyM"#)),
        failures(replace("YUw+7uLYEAA=", "YUw+7uLYEAE=")),
        failures(replace(r#""name":"null""#, r#""name":"mull""#)),
        failures(replace(r#""size":6"#, r#""size":7"#)),
        failures(replace(r#""position":3"#, r#""position":4"#)),
        failures(|parts| parts.tar_split.truncate(parts.tar_split.len() - 10)),
        failures(|parts| {
            let last = parts.tar_split[..parts.tar_split.len() - 1].iter().rposition(|byte| *byte == b'\n');
            parts.tar_split.truncate(last.unwrap() + 1);
        }),
        failures(|parts| parts.tar_split.extend(b"{\"type\":2,\"payload\":\"AAAA\",\"position\":9}\n")),
        failures(|parts| parts.tar_split.clear()),
    ];
    insta::assert_snapshot!(found.join("\n"), @"
    tar-split: record 0 of the tar-split holds other bytes than the tar
    tar-split: record 3 of the tar-split needs `dir/file` with CRC-64 614c3eeee2d81001, found 614c3eeee2d81000
    tar-split: record 5 of the tar-split has the name `mull`, the header before it `null`
    tar-split: record 3 of the tar-split has 7 bytes of `dir/file`, the header before it 6
    tar-split: record 3 of the tar-split has position 4
    tar-split: record 8 of the tar-split is malformed: EOF while parsing a string at line 1 column 1475
    tar-split: record 8 of the tar-split is missing, the tar goes on
    tar-split: record 9 of the tar-split goes on, the tar has ended
    tar-split: record 0 of the tar-split is missing, the tar goes on
    ");
}

#[test]
fn wrong_expectations_are_found() {
    let layer = Parts::new(sample()).assemble();
    let verify = |layer: &Layer, expected: &Expected<'_>| {
        failed_checks(&super::verify(layer.blob.as_slice(), expected, &Limits::default()).unwrap())
    };
    let diff_id = Some(DiffId::of(b"other"));
    let blob_digest = Some(BlobDigest::of(b"other"));
    let other_toc = Layer { toc_digest: TocDigest::of(b"other"), blob: Vec::new(), tar: Vec::new(), ..layer };
    let mut moved = other_toc.location;
    moved.toc.range = BlobRange::saturating(moved.toc.range.start() - 1, moved.toc.range.len() + 1);
    let moved = Layer { location: moved, blob: Vec::new(), tar: Vec::new(), ..other_toc };
    let found = [
        verify(&layer, &Expected { diff_id, ..Expected::default() }),
        verify(&layer, &Expected { blob_digest, ..Expected::default() }),
        verify(&layer, &Expected { annotations: Some(&other_toc.annotations()), ..Expected::default() }),
        verify(&layer, &Expected { annotations: Some(&moved.annotations()), ..Expected::default() }),
    ];
    insta::assert_snapshot!(found.join("\n"), @"
    diff ID: sha256:79ac3f3cc66fb8c5565448daddb967e8615b6049bbaa1867cbb6fa54efe0129d, expected sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa
    blob digest: sha256:badac792b7277c09d95171b9d8852bdf7cfc04ff5f52ced2cde1e0c0bd9094b3, expected sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa
    TOC digest: sha256:66d5d1ff93eb702982db4c425d9636d22c7eeaee62ea9be42f70247611354851, expected sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa
    TOC: annotations and footer place the metadata differently
    ");
}

#[test]
fn damaged_blobs_are_reported() {
    let layer = Parts::new(sample()).assemble();
    let first_chunk = layer.blob.len() / 2;
    let report = |blob: &[u8]| {
        let annotations = layer.annotations();
        let expected = Expected { annotations: Some(&annotations), ..Expected::default() };
        failed_checks(&verify(blob, &expected, &Limits::default()).unwrap())
    };
    let with = |at: usize, byte: u8| {
        let mut blob = layer.blob.clone();
        blob[at] ^= byte;
        blob
    };
    let toc = usize::try_from(layer.location.toc.range.start()).unwrap();
    let found = [
        report(&layer.blob[..layer.blob.len() - 1]),
        report(&layer.blob[..first_chunk]),
        report(&with(0, 1)),
        report(&with(toc - 4, 1)),
        report(&with(toc, 1)),
        report(&[layer.blob.as_slice(), b"junk"].concat()),
        report(b""),
    ];
    insta::assert_snapshot!(found.join("\n--\n"), @"
    frames: after byte 1559 of the blob: the blob ends inside a skippable frame
    --
    frames: after byte 405 of the blob: the blob ends inside a skippable frame
    TOC: the annotations place the metadata beyond the end of the blob
    --
    tar: tar header has no valid number in its field `chksum`
    ranges: no skippable frame holds just the TOC, bytes 413..1004
    tar-split: record 0 of the tar-split holds other bytes than the tar
    --
    frames: after byte 1003 of the blob: what follows is no frame
    --
    TOC: Unknown frame descriptor
    --
    frames: after byte 1631 of the blob: what follows is no frame
    --
    TOC: the annotations place the metadata beyond the end of the blob
    ");
}

#[test]
fn any_flipped_bit_is_noticed() {
    let layer = Parts::new(sample()).assemble();
    let (annotations, blob_digest) = (layer.annotations(), Some(BlobDigest::of(&layer.blob)));
    for at in (0..layer.blob.len()).step_by(3) {
        let mut blob = layer.blob.clone();
        blob[at] ^= 1 << (at % 8);
        let expected = Expected { annotations: Some(&annotations), blob_digest, diff_id: None };
        let report = verify(blob.as_slice(), &expected, &Limits::default()).unwrap();
        assert_eq!(report.verdict, Verdict::Damaged, "{at}");
    }
}

#[test]
fn layers_without_toc_are_verified_as_far_as_they_go() {
    let tar = tar_of(&sample());
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    let expected = Expected { diff_id: Some(DiffId::of(&tar)), ..Expected::default() };
    for blob in [zstd_frame(&tar), gzip.finish().unwrap(), tar.clone()] {
        let report = verify(blob.as_slice(), &expected, &Limits::default()).unwrap();
        assert_eq!((report.verdict, report.dialect, report.members), (Verdict::Proven, None, 4));
    }
    let report = verify(b"garbage".as_slice(), &expected, &Limits::default()).unwrap();
    insta::assert_snapshot!(failed_checks(&report), @"
    tar: tar ends 505 bytes early
    diff ID: sha256:795b6904e54f82411df4b0e27a373a55eea3f9d66dac5a9bce1dd92f7b401da5, expected sha256:79ac3f3cc66fb8c5565448daddb967e8615b6049bbaa1867cbb6fa54efe0129d
    ");
}
