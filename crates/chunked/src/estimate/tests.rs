use std::time::Duration;

use proptest::prelude::*;

use super::{Contents, Estimate, Estimator, Kind, LARGEST_MAX, Paths, Share};
use crate::dialect::Dialect;
use crate::digest::{ContentDigest, TocDigest};
use crate::entry::{Chunk, ChunkKind, Content, Entry, EntryKind, Timestamp};
use crate::layer::ChunkedLayer;
use crate::location::{Located, Location};
use crate::plan::Strategy;
use crate::range::{BlobRange, FileRange};
use crate::source::{Abilities, Link, Ranges};
use crate::testing::entries;
use crate::toc::{Toc, Trailer};

/// A file of these pieces; `""` is a hole of 100 bytes. Compressed, each takes ten bytes more.
fn file(name: &str, pieces: &[&str]) -> Entry {
    let (mut at, mut chunks) = (0, Vec::new());
    for piece in pieces {
        let (len, kind) = match piece.len() {
            0 => (100, ChunkKind::Zeros),
            len => (len as u64, ChunkKind::Data),
        };
        let digest = (pieces.len() > 1).then_some(ContentDigest::of(piece.as_bytes()));
        let (file, blob) = (FileRange::saturating(at, len), BlobRange::saturating(0, len + 10));
        chunks.push(Chunk { file, blob, inner_offset: 0, digest, kind });
        at += len;
    }
    let digest = Some(ContentDigest::of(pieces.concat().as_bytes()));
    let content = Content { digest, range: BlobRange::saturating(0, 0), chunks };
    let modified = Some(Timestamp { seconds: 1_700_000_000, nanoseconds: 0 });
    Entry { size: at, mode: 0o644, modified, content: Some(content), ..Entry::new(EntryKind::Regular, name) }
}

/// A layer of these files, whose frames lie 5 bytes apart.
fn layer(mut entries: Vec<Entry>) -> ChunkedLayer {
    let mut at = 0;
    for chunk in entries.iter_mut().filter_map(|entry| entry.content.as_mut()).flat_map(|c| &mut c.chunks) {
        chunk.blob = BlobRange::saturating(at + 5, chunk.blob.len());
        at = chunk.blob.end();
    }
    let located = |start, len| Located { range: BlobRange::saturating(start, len), len: 4 * len };
    ChunkedLayer {
        dialect: Dialect::Current,
        blob_len: at + 400,
        location: Location { toc: located(at, 200), tar_split: Some(located(at + 208, 100)) },
        payload_len: at,
        footer: None,
        toc: Toc { entries, trailer: Trailer { tar_split: None, has_end_offsets: true, len: 0 } },
        toc_blob: Vec::new(),
        toc_digest: TocDigest::of(b""),
        annotations: None,
        tar_split: None,
    }
}

fn known(entries: &[Entry]) -> (Contents, Paths) {
    let (mut contents, mut paths) = (Contents::default(), Paths::default());
    for entry in entries {
        contents.add(entry);
        paths.add(entry);
    }
    (contents, paths)
}

/// A link on which every byte counts.
fn abilities() -> Abilities {
    let link = Link::new(Duration::from_nanos(1), 1e3);
    Abilities { ranges: Ranges::Many { count: 100, header_len: 4000 }, parallelism: 1, link }
}

fn estimate(old: &[Entry], new: Vec<Entry>) -> Estimate {
    let (contents, paths) = known(old);
    Estimator::new(&contents, &paths).layer(&layer(new), &abilities()).unwrap()
}

/// Says which kinds there are, with the bytes to fetch.
fn kinds(estimate: &Estimate) -> Vec<(Kind, u64)> {
    let shares = Kind::ALL.map(|kind| (kind, *estimate.shares.of(kind)));
    shares.iter().filter(|(_, share)| share.files > 0).map(|(kind, share)| (*kind, share.fetch_len)).collect()
}

#[test]
fn files_differ_in_why_they_are_fetched() {
    let old = [file("./bin/tool", &["tool"]), file("etc/long", &["one", "two", "three"])];
    let other_owner = Entry { uid: 7, ..file("bin/tool", &["tool"]) };
    let other_time = Entry { modified: None, ..file("bin/tool", &["tool"]) };
    let table = [
        (file("bin//tool", &["tool"]), Kind::Unchanged, 0),
        (other_time, Kind::Times, 0),
        (other_owner, Kind::Metadata, 0),
        (file("sbin/tool", &["tool"]), Kind::Moved, 0),
        (file("bin/tool", &["other"]), Kind::Changed, 15),
        (file("etc/long", &["one", "new", "three"]), Kind::Changed, 13),
        (file("etc/copy", &["zero", "two"]), Kind::New, 14),
        (file("etc/part", &["three"]), Kind::New, 0),
        (file("etc/holes", &["data", "", "more"]), Kind::New, 28),
        (Entry { kind: EntryKind::Regular, ..file("a/b", &["x"]) }, Kind::New, 11),
    ];
    for (entry, kind, fetch_len) in table {
        let (name, estimate) = (entry.name.clone(), estimate(&old, vec![entry]));
        assert_eq!(kinds(&estimate), [(kind, fetch_len)], "{name}");
        assert_eq!(estimate.plan.needed, fetch_len, "{name}");
        assert_eq!(estimate.metadata_len, 300);
    }
}

#[test]
fn known_chunks_and_holes_count_as_known() {
    let estimate =
        estimate(&[file("f", &["one", "two"])], vec![file("f", &["one", "", "four"]), file("g", &["two"])]);
    assert_eq!(estimate.shares.changed, Share { files: 1, len: 107, known_len: 103, fetch_len: 14 });
    assert_eq!(estimate.shares.new, Share { files: 1, len: 3, known_len: 3, fetch_len: 0 });
}

#[test]
fn a_path_has_been_all_that_its_layers_made_of_it() {
    let old = [file("a", &["first"]), file("a", &["second"])];
    for content in ["first", "second"] {
        assert_eq!(kinds(&estimate(&old, vec![file("a", &[content])])), [(Kind::Unchanged, 0)]);
    }
}

#[test]
fn content_is_brought_once() {
    let (contents, paths) = known(&[]);
    let mut estimator = Estimator::new(&contents, &paths);
    let lower = estimator.layer(&layer(vec![file("a", &["x"]), file("b", &["x"])]), &abilities()).unwrap();
    assert_eq!(kinds(&lower), [(Kind::Duplicate, 0), (Kind::New, 11)]);
    let upper = estimator.layer(&layer(vec![file("c", &["x"])]), &abilities()).unwrap();
    assert_eq!((kinds(&upper), upper.plan.strategy), (vec![(Kind::Duplicate, 0)], Strategy::Nothing));
}

#[test]
fn without_a_digest_of_the_whole_nothing_is_known_of_a_file() {
    let mut entry = file("a", &["one", "two"]);
    entry.content.as_mut().unwrap().digest = None;
    assert_eq!(kinds(&estimate(&[entry.clone()], vec![entry])), [(Kind::Changed, 26)]);
}

#[test]
fn the_largest_files_are_listed_largest_first() {
    let files = (0..30).map(|number| file(&format!("f{number}"), &[&"x".repeat(number * 7 % 30 + 1)]));
    let found = estimate(&[], files.collect());
    let lens: Vec<_> = found.largest.files().iter().map(|file| file.fetch_len).collect();
    assert_eq!(lens, (31..=40).rev().collect::<Vec<_>>());
    assert_eq!(found.largest.files().len(), LARGEST_MAX);
    let mut both = found.largest.clone();
    both.merge(&found.largest);
    assert_eq!(
        both.files().iter().map(|file| file.fetch_len).collect::<Vec<_>>(),
        [40, 40, 39, 39, 38, 38, 37, 37, 36, 36]
    );
    let nothing = estimate(&[file("a", &["x"])], vec![file("a", &["x"])]);
    assert!(nothing.largest.files().is_empty());
}

#[test]
fn an_estimate_is_json() {
    let estimate = estimate(&[], vec![file("a", &["one", "", "two"])]);
    let json = serde_json::to_string(&estimate).unwrap();
    insta::assert_snapshot!(json, @r#"{"shares":{"unchanged":{"files":0,"len":0,"known_len":0,"fetch_len":0},"times":{"files":0,"len":0,"known_len":0,"fetch_len":0},"metadata":{"files":0,"len":0,"known_len":0,"fetch_len":0},"moved":{"files":0,"len":0,"known_len":0,"fetch_len":0},"duplicate":{"files":0,"len":0,"known_len":0,"fetch_len":0},"changed":{"files":0,"len":0,"known_len":0,"fetch_len":0},"new":{"files":1,"len":106,"known_len":100,"fetch_len":26}},"largest":[{"path":"a","kind":"new","fetch_len":26}],"plan":{"requests":[[[5,151]]],"connections":1,"needed":26,"wasted":120,"strategy":"ranges","seconds":0.646000001},"metadata_len":300}"#);
}

proptest! {
    #[test]
    fn every_file_counts_once_and_every_missing_byte_is_planned(
        (old, _) in entries(),
        (new, _) in entries(),
        shared in 0..20usize,
    ) {
        let (contents, paths) = known(&old);
        let (mut more_contents, mut more_paths) = (contents.clone(), paths.clone());
        for entry in new.iter().take(shared) {
            more_contents.add(entry);
            more_paths.add(entry);
        }
        let layer = layer(new);
        let found = Estimator::new(&more_contents, &more_paths).layer(&layer, &abilities()).unwrap();
        let shares = Kind::ALL.map(|kind| *found.shares.of(kind));
        let files = layer.toc.entries.iter().filter(|entry| entry.content.is_some()).count();
        prop_assert_eq!(shares.iter().map(|share| share.files).sum::<u64>(), files as u64);
        prop_assert_eq!(shares.iter().map(|share| share.fetch_len).sum::<u64>(), found.plan.needed);
        prop_assert!(shares.iter().all(|share| share.known_len <= share.len));
        let without = Estimator::new(&contents, &paths).layer(&layer, &abilities()).unwrap();
        prop_assert!(found.plan.needed <= without.plan.needed, "what is known is not fetched");
    }
}
