use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use chunked::{ContentDigest, FileRange};
use morsel_store::{DedupIndex, Place as ChunkPlace, Store};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::sample::Place;

fn digest(number: u64) -> ContentDigest {
    ContentDigest::of(&number.to_le_bytes())
}

fn place(number: u64) -> ChunkPlace {
    ChunkPlace { object: digest(number), range: FileRange::with_len(number, 100).unwrap() }
}

fn add(index: &DedupIndex, rows: impl IntoIterator<Item = (u64, u64)>) {
    index.add(rows.into_iter().map(|(chunk, at)| (digest(chunk), place(at)))).unwrap();
}

fn run_files(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root.join("index")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn an_index_is_one_run_and_little_more_once_it_was_settled() {
    let on_disk = Place::new();
    let index = on_disk.store.index();
    for (added, runs, settled) in
        [(100_000, 1, false), (10_000, 2, true), (5_000, 2, false), (3_000, 2, true)]
    {
        let rows = index.shape().rows;
        add(index, (rows..rows + added).map(|chunk| (chunk, chunk)));
        assert_eq!(index.shape().runs, runs, "after {added} more");
        Store::settle(&on_disk.root()).unwrap();
        let reopened = Store::open(&on_disk.root()).unwrap();
        assert_eq!(reopened.index().shape().runs, if settled { 1 } else { runs }, "after {added} more");
        assert_eq!(run_files(&on_disk.root()).len() as u64, reopened.index().shape().runs);
        assert!(
            (0..rows + added).step_by(1000).all(|chunk| reopened.index().lookup(&digest(chunk)).is_some())
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_last_place_that_was_added_is_found(layers in vec(vec((0..300_u64, 0..50_u64), 0..100), 0..8)) {
        let place_on_disk = Place::new();
        let mut model = BTreeMap::new();
        for layer in layers {
            // Of two places of one chunk in one layer, either will do.
            let layer: BTreeMap<_, _> = layer.into_iter().collect();
            add(place_on_disk.store.index(), layer.clone());
            model.extend(layer);
        }
        let reopened = Store::open(&place_on_disk.root()).unwrap();
        for index in [place_on_disk.store.index(), reopened.index()] {
            for chunk in 0..300 {
                prop_assert_eq!(index.lookup(&digest(chunk)), model.get(&chunk).map(|at| place(*at)));
            }
        }
    }
}

#[test]
fn there_are_few_runs_however_many_layers_were_added() {
    let on_disk = Place::new();
    let index = on_disk.store.index();
    for layer in 0..100 {
        add(index, (layer * 50..layer * 50 + 50).map(|chunk| (chunk, chunk)));
    }
    assert_eq!(index.shape().rows, 5000);
    assert!(index.shape().runs <= 4, "{:?}", index.shape());
    assert_eq!(run_files(&on_disk.root()).len() as u64, index.shape().runs);
    // What is known already is not written again.
    add(index, (0..5000).map(|chunk| (chunk, chunk)));
    assert_eq!(index.shape().rows, 5000);
}

#[test]
fn a_damaged_run_is_not_used_and_goes_away_with_the_next_layer() {
    let damages: [fn(&mut Vec<u8>); 6] = [
        |bytes| bytes.clear(),
        |bytes| bytes.truncate(10),
        |bytes| bytes.truncate(bytes.len() - 1),
        |bytes| bytes.push(0),
        |bytes| bytes[0] ^= 1,
        |bytes| bytes[19] = 0xff,
    ];
    for damage in damages {
        let dir = tempfile::tempdir().unwrap();
        add(Store::open(dir.path()).unwrap().index(), (0..100).map(|chunk| (chunk, chunk)));
        let [file] = run_files(dir.path()).try_into().unwrap();
        let mut bytes = fs::read(&file).unwrap();
        damage(&mut bytes);
        fs::remove_file(&file).unwrap();
        fs::write(&file, bytes).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();

        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.index().shape().unusable, 1);
        assert_eq!(store.index().lookup(&digest(1)), None);
        add(store.index(), [(1, 2)]);
        assert_eq!(store.index().lookup(&digest(1)), Some(place(2)));
        assert_eq!(run_files(dir.path()).len(), 1);
    }
}

/// Buckets and rows are not checked when a run is opened, so that it takes no time.
#[test]
fn a_damaged_bucket_or_row_hides_what_it_leads_to_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    add(Store::open(dir.path()).unwrap().index(), (0..100).map(|chunk| (chunk, chunk)));
    let [file] = run_files(dir.path()).try_into().unwrap();
    let sound = fs::read(&file).unwrap();
    for at in (64..sound.len()).step_by(7) {
        let mut bytes = sound.clone();
        bytes[at] ^= 0xff;
        fs::remove_file(&file).unwrap();
        fs::write(&file, bytes).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
        let store = Store::open(dir.path()).unwrap();
        let found = (0..100).filter(|chunk| store.index().lookup(&digest(*chunk)) == Some(place(*chunk)));
        assert!(found.count() >= 75, "a byte at {at} is damaged");
    }
}

#[test]
fn a_bucket_may_have_more_rows_than_marks() {
    let dir = tempfile::tempdir().unwrap();
    let same = |number: u64| {
        let mut digest = digest(number).0;
        digest[..8].fill(7);
        ContentDigest(digest)
    };
    let store = Store::open(dir.path()).unwrap();
    store.index().add((0..200).map(|chunk| (same(chunk), place(chunk)))).unwrap();
    add(store.index(), (0..200).map(|chunk| (chunk, chunk)));
    for chunk in 0..200 {
        assert_eq!(store.index().lookup(&same(chunk)), Some(place(chunk)));
        assert_eq!(store.index().lookup(&digest(chunk)), Some(place(chunk)));
        assert_eq!(store.index().lookup(&same(chunk + 200)), None);
    }
    let chunks: Vec<_> = (0..400).map(same).collect();
    let found = store.index().view().lookup_each(&chunks);
    assert_eq!(found.into_iter().flatten().count(), 200);
}

#[test]
fn a_run_that_others_may_write_to_is_not_mapped() {
    let dir = tempfile::tempdir().unwrap();
    add(Store::open(dir.path()).unwrap().index(), [(1, 1)]);
    let [file] = run_files(dir.path()).try_into().unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(Store::open(dir.path()).unwrap().index().lookup(&digest(1)), None);
}
