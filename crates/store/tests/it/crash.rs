//! What crashes and power losses leave.

use std::fs::{self, File, FileTimes};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime};

use chunked::ContentDigest;
use morsel_store::{LayerState, Store};

use crate::sample::{Place, chunks, files, has, object_path, pull, pull_layer, spoil};

/// Makes the marker of another boot, as if it had been there for that long.
fn mark(root: &Path, age: Duration) {
    let mut marker = File::create(root.join("dirty")).unwrap();
    marker.write_all(b"00000000-0000-0000-0000-000000000000\n").unwrap();
    marker.set_times(FileTimes::new().set_modified(SystemTime::now() - age)).unwrap();
}

#[test]
fn the_marker_is_there_while_content_may_be_lost_and_only_then() {
    let place = Place::new();
    let marker = place.root().join("dirty");
    let put = |content: &[u8]| place.store.objects().put(&ContentDigest::of(content), content).unwrap();
    assert!(!marker.exists());
    put(b"one");
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert_eq!(fs::read_to_string(&marker).unwrap(), boot);
    place.store.sync().unwrap();
    assert!(!marker.exists());
    put(b"two");
    assert!(marker.exists());

    // Another process that writes keeps it.
    let other = Store::open(&place.root()).unwrap();
    other.objects().put(&ContentDigest::of(b"three"), b"three").unwrap();
    place.store.sync().unwrap();
    assert!(marker.exists());
    other.sync().unwrap();
    assert!(!marker.exists());

    // So does a killed one, until someone syncs what it wrote.
    other.objects().put(&ContentDigest::of(b"four"), b"four").unwrap();
    drop(other);
    assert!(marker.exists());
    let next = Store::open(&place.root()).unwrap();
    assert_eq!(next.recovery(), None);
    next.objects().put(&ContentDigest::of(b"five"), b"five").unwrap();
    next.sync().unwrap();
    assert!(!marker.exists());
}

#[test]
fn after_a_power_loss_what_was_lost_is_gone_and_what_was_not_is_here() {
    let place = Place::new();
    let long = b"a content of several chunks";
    let image = pull(&place.store, "one", &[&[b"kept", long], &[b"lost", b"vanished"]]);
    let root = place.root();
    drop(place.store);
    spoil(&root, b"lost", b"\0\0\0\0");
    fs::remove_file(object_path(&root, b"vanished")).unwrap();
    for run in fs::read_dir(root.join("index")).unwrap() {
        fs::remove_file(run.unwrap().path()).unwrap();
    }
    mark(&root, Duration::from_secs(60));

    let store = Store::open(&root).unwrap();
    let recovery = store.recovery().unwrap();
    assert_eq!((recovery.objects, recovery.repairs.objects_removed), (3, 1));
    assert_eq!(recovery.repairs.layers_downgraded, 1);
    assert!(has(&store, b"kept") && !has(&store, b"lost"));
    let state = |layer: usize| store.layers().get(&image.layers[layer]).unwrap().unwrap().state;
    assert_eq!([state(0), state(1)], [LayerState::Complete, LayerState::Indexed]);
    assert_eq!(store.index().shape().rows, 3);
    assert!(!root.join("dirty").exists());
    assert_eq!(Store::open(&root).unwrap().recovery(), None);
}

#[test]
fn a_marker_that_is_just_being_made_is_no_reason_to_wait_for_others() {
    let place = Place::new();
    File::create(place.root().join("dirty")).unwrap();
    // Were it one, this would wait for the store that is open.
    let second = Store::open(&place.root()).unwrap();
    assert_eq!(second.recovery(), None);
    assert_eq!(place.store.recovery(), None);
}

#[test]
fn what_was_written_long_before_is_not_read_again() {
    let place = Place::new();
    let root = place.root();
    pull(&place.store, "one", &[&[b"old"]]);
    drop(place.store);
    // The clock cannot be turned back, but the marker can come from the future.
    mark(&root, Duration::ZERO);
    let marker = File::options().write(true).open(root.join("dirty")).unwrap();
    let future = SystemTime::now() + Duration::from_secs(3 * 24 * 60 * 60);
    marker.set_times(FileTimes::new().set_modified(future)).unwrap();
    let recovery = *Store::open(&root).unwrap().recovery().unwrap();
    assert_eq!((recovery.objects, recovery.repairs.objects_removed), (0, 0));
}

#[test]
fn chunks_of_another_boot_are_hashed_before_they_are_used() {
    let place = Place::new();
    let content = b"0123456789abcdefghijKLMNOPQRST";
    let digest = ContentDigest::of(content);
    let chunks = chunks(content, 10);
    {
        let partial = place.store.partials().open(&digest, &chunks).unwrap().unwrap();
        partial.write(0, 0, &content[..10]).unwrap();
        partial.write(2, 20, b"**********").unwrap();
    }
    let map = files(&place.root().join("partial")).into_iter().find(|name| name.ends_with(".map")).unwrap();
    let map = place.root().join("partial").join(map);
    let mut bytes = fs::read(&map).unwrap();
    bytes[40..76].fill(b'0');
    fs::write(&map, bytes).unwrap();
    let partial = place.store.partials().open(&digest, &chunks).unwrap().unwrap();
    assert_eq!([0, 1, 2].map(|chunk| partial.has(chunk)), [true, false, false]);
    drop(partial);
    // Now it is of this boot.
    let partial = place.store.partials().open(&digest, &chunks).unwrap().unwrap();
    partial.write(1, 10, b"**********").unwrap();
    drop(partial);
    assert!(place.store.partials().open(&digest, &chunks).unwrap().unwrap().has(1));
}

#[test]
fn a_map_that_is_cut_off_or_of_other_chunks_counts_for_nothing() {
    let content = b"0123456789abcdefghijKLMNOPQRST";
    let digest = ContentDigest::of(content);
    let damages: [fn(&mut Vec<u8>); 4] =
        [|map| map.clear(), |map| map.truncate(50), |map| map.truncate(map.len() - 1), |map| map[0] ^= 1];
    for damage in damages {
        let place = Place::new();
        {
            let partial = place.store.partials().open(&digest, &chunks(content, 10)).unwrap().unwrap();
            partial.write(0, 0, &content[..10]).unwrap();
        }
        let names = files(&place.root().join("partial"));
        let map = place.root().join("partial").join(&names[1]);
        let mut bytes = fs::read(&map).unwrap();
        damage(&mut bytes);
        fs::write(&map, bytes).unwrap();
        let partial = place.store.partials().open(&digest, &chunks(content, 10)).unwrap().unwrap();
        assert!(!partial.has(0));
        partial.write(0, 0, &content[..10]).unwrap();
        drop(partial);
        let other = place.store.partials().open(&digest, &chunks(content, 15)).unwrap().unwrap();
        assert!(!other.has(0) && !other.has(1));
        assert_eq!(other.file().metadata().unwrap().len(), 30);
    }
}

#[test]
fn a_layer_saved_over_one_that_is_damaged_is_whole() {
    let place = Place::new();
    let record = pull_layer(&place.store, &[b"a"]);
    let path = place.root().join("layers").join(record.toc_digest.0.hex());
    fs::write(path.join("record.json"), "{").unwrap();
    assert!(place.store.layers().find(&record.blob).is_err());
    let again = pull_layer(&place.store, &[b"a"]);
    assert_eq!(place.store.layers().find(&record.blob).unwrap(), Some(again));
}
