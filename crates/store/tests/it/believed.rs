//! What one layer leaves in the store is believed by others, so it has to be right even when the layer lies.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{iter, thread};

use chunked::{Chunk, ChunkKind, ContentDigest};
use morsel_store::fetch::NoProgress;
use morsel_store::pull::{Options, pull};
use morsel_store::{Error, Store};
use serde_json::Value;
use testkit::data;

use crate::made::Made;
use crate::sample::{Place, is};
use crate::source::{MANY, Source, abilities};

/// A file of several chunks that are not decoded together.
fn large() -> Vec<u8> {
    let parts = (1..=6).flat_map(|seed| [data::stream(seed, 1 << 20), data::cut()]);
    parts.flatten().collect()
}

fn chunks_of(made: &Made, name: &str) -> Vec<Chunk> {
    let entries = made.open().toc.entries;
    let entry = entries.into_iter().find(|entry| entry.name == name).unwrap();
    entry.content.unwrap().chunks
}

/// Copies what the TOC of `honest` says of the digests of `name`, in a layer that holds something else under that name.
fn lying(honest: &Made, content: Vec<u8>, name: &str) -> Made {
    let mut theirs = Vec::new();
    honest.with_toc(|toc| theirs = rows(toc, name).map(|row| row.clone()).collect());
    Made::files([("a", b"abc".to_vec()), (name, content), ("z", b"xyz".to_vec())]).with_toc(|toc| {
        let ours: Vec<_> = rows(toc, name).collect();
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in iter::zip(ours, &theirs) {
            for key in ["digest", "chunkDigest"] {
                if let Some(digest) = theirs.get(key) {
                    ours[key] = digest.clone();
                }
            }
        }
    })
}

/// Begins with a row that the tar does not have, so that the proof gives up before it comes to anything.
fn contradicting(made: &Made) -> Made {
    made.with_toc(|toc| rows(toc, "a").for_each(|row| row["name"] = "b".into()))
}

fn rows<'t>(toc: &'t mut Value, name: &str) -> impl Iterator<Item = &'t mut Value> {
    let rows = toc["entries"].as_array_mut().unwrap();
    rows.iter_mut().filter(move |row| row["name"] == name)
}

fn fetch(store: &Store, made: &Made, source: &Source) -> Result<(), Error> {
    pull(store, &[made.task(source)], &Options::default(), &NoProgress).map(drop)
}

fn source(made: &Made) -> Source {
    Source::new(made, abilities(MANY, 1))
}

/// Lists the chunks that others take to be here, and that are not what they should be.
fn believed_wrongly(store: &Store, digest: &ContentDigest, chunks: &[Chunk]) -> Vec<usize> {
    let Some(partial) = store.partials().open(digest, chunks).unwrap() else { return Vec::new() };
    let here = chunks.iter().enumerate().filter(|(index, _)| partial.has(*index));
    let here: Vec<_> = here.map(|(index, chunk)| (index, chunk.digest.unwrap_or(*digest))).collect();
    here.into_iter()
        .filter(|(index, digest)| !partial.holds(*index, digest).unwrap())
        .map(|it| it.0)
        .collect()
}

#[test]
fn chunks_that_another_layer_lied_about_are_not_believed() {
    let content = large();
    let (honest, digest) = (Made::files([("file", &content)]), ContentDigest::of(&content));
    for at in [5, 3_300_000, content.len() - 1] {
        let mut wrong = content.clone();
        wrong[at] ^= 1;
        let lying = contradicting(&lying(&honest, wrong, "file"));
        let place = Place::new();
        assert!(fetch(&place.store, &lying, &source(&lying)).is_err());
        let chunks = chunks_of(&honest, "file");
        assert_eq!(believed_wrongly(&place.store, &digest, &chunks), [0; 0], "byte {at} is wrong");
        fetch(&place.store, &honest, &source(&honest)).unwrap();
        assert!(is(&place.root(), &content));
    }
}

#[test]
fn a_giant_chunk_that_another_layer_lied_about_is_not_believed() {
    let content = vec![1; 9 << 20];
    let (honest, digest) = (Made::files([("giant", &content)]), ContentDigest::of(&content));
    let lying = lying(&honest, vec![2; 9 << 20], "giant");
    let (chunks, place) = (chunks_of(&honest, "giant"), Place::new());
    assert_eq!(chunks.len(), 1);
    let (store, ours, believed) = (place.root(), chunks.clone(), Arc::new(AtomicBool::new(false)));
    // When the next file comes, the proof has not come to the digest of this one.
    let then = source(&lying).hook(chunks_of(&lying, "z")[0].blob.start(), {
        let believed = Arc::clone(&believed);
        move || {
            let marks = Store::open(&store).unwrap().partials().marks(&digest, &ours).unwrap();
            believed.store(marks == Some(vec![true]), Ordering::Relaxed);
        }
    });
    assert!(fetch(&place.store, &lying, &then).is_err());
    assert!(!believed.load(Ordering::Relaxed));
    assert_eq!(believed_wrongly(&place.store, &digest, &chunks), [0; 0]);
    fetch(&place.store, &honest, &source(&honest)).unwrap();
    assert!(is(&place.root(), &content));
}

#[test]
fn a_giant_chunk_that_is_here_is_not_written_over() {
    let content = vec![1; 9 << 20];
    let (honest, digest) = (Made::files([("giant", &content)]), ContentDigest::of(&content));
    let lying = lying(&honest, vec![2; 9 << 20], "giant");
    let (chunks, place) = (chunks_of(&honest, "giant"), Place::new());
    let (root, ours) = (place.root(), chunks.clone());
    // Another process brings it once the layer has found it missing.
    let meanwhile = source(&lying).hook(0, move || {
        let other = Store::open(&root).unwrap();
        let partial = other.partials().open(&digest, &ours).unwrap().unwrap();
        partial.write(0, 0, &content).unwrap();
    });
    assert!(fetch(&place.store, &lying, &meanwhile).is_err());
    let partial = place.store.partials().open(&digest, &chunks).unwrap().unwrap();
    assert!(partial.holds(0, &digest).unwrap());
}

#[test]
fn a_chunk_that_another_layer_says_is_a_hole_is_not_believed() {
    let content = large();
    let (honest, digest) = (Made::files([("file", &content)]), ContentDigest::of(&content));
    let chunks = chunks_of(&honest, "file");
    let mut holes = chunks.clone();
    holes.iter_mut().for_each(|chunk| chunk.kind = ChunkKind::Zeros);
    let place = Place::new();
    drop(place.store.partials().open(&digest, &holes).unwrap().unwrap());
    assert_eq!(believed_wrongly(&place.store, &digest, &chunks), [0; 0]);
}

#[test]
fn a_chunk_without_a_digest_is_verified_with_the_whole_even_if_others_write_it() {
    let content = large();
    let digest = ContentDigest::of(&content);
    let made = Made::files([("file", &content)]).with_toc(|toc| {
        rows(toc, "file").for_each(|row| drop(row.as_object_mut().unwrap().remove("chunkDigest")));
    });
    let (chunks, place) = (chunks_of(&made, "file"), Place::new());
    let (root, ours) = (place.root(), chunks.clone());
    let last = chunks.last().unwrap().blob.start();
    // The proof has the first chunk from memory, and then it changes in the store.
    let meddling = source(&made).hook(last, move || {
        let other = Store::open(&root).unwrap();
        loop {
            let partial = other.partials().open(&digest, &ours).unwrap().unwrap();
            if partial.has(0) {
                return partial.write(0, 0, &vec![7; ours[0].file.len() as usize]).unwrap();
            }
            drop(partial);
            thread::sleep(Duration::from_millis(1));
        }
    });
    fetch(&place.store, &made, &meddling).unwrap();
    assert!(is(&place.root(), &content));
}

#[test]
fn a_chunk_without_a_digest_that_an_earlier_pull_left_is_fetched_again() {
    let content = large();
    let digest = ContentDigest::of(&content);
    let made = Made::files([("file", &content)]).with_toc(|toc| {
        rows(toc, "file").for_each(|row| drop(row.as_object_mut().unwrap().remove("chunkDigest")));
    });
    let (chunks, place) = (chunks_of(&made, "file"), Place::new());
    {
        let partial = place.store.partials().open(&digest, &chunks).unwrap().unwrap();
        partial.write(0, 0, &vec![7; chunks[0].file.len() as usize]).unwrap();
    }
    fetch(&place.store, &made, &source(&made)).unwrap();
    assert!(is(&place.root(), &content));
}
