use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use chunked::ContentDigest;
use morsel_store::chains::Made;
use morsel_store::{ChainId, Error, Exclusive, MountRecord, Store, Wait, gc};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use crate::sample::{Place, chunks, files, has, object_path, pull, pull_layer, spoil};

fn collect(place: Place) -> (tempfile::TempDir, Exclusive, gc::Report) {
    let exclusive = Exclusive::take(place.store, Wait::No).unwrap();
    let report = gc::collect(&exclusive, &BTreeSet::new()).unwrap();
    (place.dir, exclusive, report)
}

#[test]
fn what_no_image_needs_goes_and_all_else_stays() {
    let place = Place::new();
    let store = &place.store;
    let shared: &[&[u8]] = &[b"shared", b"a shared content of several chunks"];
    let kept = pull(store, "kept", &[shared, &[b"kept"]]);
    let gone = pull(store, "gone", &[shared, &[b"gone", b"a content of several chunks that goes"]]);
    assert!(gc::plan(store, &BTreeSet::new()).unwrap().summary().is_empty());

    store.images().remove(&gone.name).unwrap();
    let planned = *gc::plan(store, &BTreeSet::new()).unwrap().summary();
    assert_eq!((planned.layers, planned.objects, planned.documents), (1, 2, 2));
    assert_eq!(planned.objects_len, 4 + 37);
    assert!(has(store, b"gone"), "a plan changes nothing");

    let (_dir, store, report) = collect(place);
    assert_eq!(report.removed.objects, 2);
    // 34 bytes in pieces of 10.
    assert_eq!(report.index.rows, 4);
    assert!(!has(&store, b"gone") && has(&store, b"kept") && has(&store, shared[1]));
    assert_eq!(store.images().list().unwrap(), std::slice::from_ref(&kept));
    for toc_digest in &kept.layers {
        let record = store.layers().get(toc_digest).unwrap().unwrap();
        store.layers().toc(&record).unwrap();
        assert_eq!(store.layers().find(&record.blob).unwrap(), Some(record));
    }
    assert!(store.images().document(&kept.config).unwrap().is_some());
    assert!(store.images().document(&gone.config).unwrap().is_none());
    assert!(gc::collect(&store, &BTreeSet::new()).unwrap().removed.is_empty());
}

#[test]
fn what_is_mounted_stays_when_its_image_is_removed_and_goes_with_the_mount() {
    let place = Place::new();
    let store = &place.store;
    let image = pull(store, "image", &[&[b"mounted"]]);
    let (chain, stranger) = (ChainId::of(&image.layers), ChainId::of(&[]));
    for chain in [&chain, &stranger] {
        store.chains().make(chain, Made::Image, |_| Ok(())).unwrap();
    }
    let tree = store.chains().path_of(&stranger, Made::UserTree);
    fs::create_dir_all(tree.join("closed/inner")).unwrap();
    fs::write(tree.join("closed/inner/file"), "").unwrap();
    let directory = PathBuf::from("/where it is");
    let record = MountRecord { directory: directory.clone(), image: image.clone(), writable: None };
    store.mounts().put(&record).unwrap();
    store.images().remove(&image.name).unwrap();

    let (dir, store, report) = collect(place);
    assert!(report.removed.is_empty() && has(&store, b"mounted"));
    assert_eq!(files(&dir.path().join("store/chains")), [format!("{}.erofs", chain.hex())]);
    assert_eq!(store.mounts().list().unwrap(), std::slice::from_ref(&record));
    assert_eq!(store.mounts().get(&directory).unwrap(), Some(record));

    assert!(store.mounts().remove(&directory).unwrap() && !store.mounts().remove(&directory).unwrap());
    let removed = gc::collect(&store, &BTreeSet::new()).unwrap().removed;
    assert_eq!((removed.layers, removed.objects), (1, 1));
    assert!(!has(&store, b"mounted") && files(&dir.path().join("store/chains")).is_empty());
}

#[test]
fn partial_content_stays_as_long_as_an_image_waits_for_it() {
    let place = Place::new();
    let contents: [&[u8]; 2] = [b"0123456789abcdefghij", b"wanted by nobody at all"];
    let image = pull(&place.store, "lazy", &[&[contents[0]]]);
    fs::remove_file(object_path(&place.root(), contents[0])).unwrap();
    for content in contents {
        let chunks = chunks(content, 10);
        let partial = place.store.partials().open(&ContentDigest::of(content), &chunks).unwrap().unwrap();
        partial.write(0, 0, &content[..10]).unwrap();
    }
    let (dir, store, report) = collect(place);
    assert_eq!(report.removed.partials, 1);
    assert_eq!(files(&dir.path().join("store/partial")).len(), 2);
    let digest = ContentDigest::of(contents[0]);
    assert!(store.partials().open(&digest, &chunks(contents[0], 10)).unwrap().unwrap().has(0));
    assert_eq!(store.images().list().unwrap(), [image]);
}

#[test]
fn leftovers_of_crashes_go() {
    let place = Place::new();
    let image = pull(&place.store, "image", &[&[b"content"]]);
    let before = files(&place.root());
    let root = place.root();
    fs::create_dir(root.join("tmp/.new-1-1")).unwrap();
    fs::write(root.join("tmp/.new-1-1/toc"), "x").unwrap();
    for name in ["tmp/.new-1-2", ".new-1-3", "oci/.new-1-4", "partial/stray", "oci/blobs/sha256/.new-1-5"] {
        fs::write(root.join(name), "x").unwrap();
    }
    let layer = format!("layers/{}", image.layers[0].0.hex());
    fs::write(root.join(layer).join(".new-1-6"), "x").unwrap();
    fs::write(root.join("layers/by-blob").join("0".repeat(64)), "nowhere").unwrap();
    // A layer staged and named, before anything leads to it.
    let (record, toc) = crate::sample::layer(&[b"unnamed"]);
    place.store.layers().save(&record, &toc, None).unwrap();

    let (_dir, store, report) = collect(place);
    // The links to the unnamed layer are leftovers too; the one from the diff ID had led to the other layer.
    assert_eq!((report.removed.layers, report.removed.partials, report.removed.documents), (1, 1, 1));
    store.sync().unwrap();
    let is_compared = |name: &String| {
        !["index/", "locks/", "layers/by-diff-id/"].iter().any(|start| name.starts_with(start))
    };
    let compared = |names: Vec<String>| names.into_iter().filter(is_compared).collect::<Vec<_>>();
    assert_eq!(compared(files(&root)), compared(before));
    assert!(!files(&root).iter().any(|name| name.starts_with("locks/") && name.len() > 60));
}

#[test]
fn nothing_is_garbage_while_it_cannot_be_read_what_is_needed() {
    let damages: [fn(&Place, &str); 3] = [
        |place, layer| fs::write(place.root().join(layer).join("toc"), "x").unwrap(),
        |place, layer| fs::write(place.root().join(layer).join("record.json"), "x").unwrap(),
        |place, _| {
            let path = place.root().join("oci/index.json");
            let text =
                fs::read_to_string(&path).unwrap().replace("sh.morsel.layers\":\"", "sh.morsel.layers\":\"?");
            fs::write(path, text).unwrap();
        },
    ];
    for damage in damages {
        let place = Place::new();
        let image = pull(&place.store, "image", &[&[b"content"]]);
        pull_layer(&place.store, &[b"garbage"]);
        damage(&place, &format!("layers/{}", image.layers[0].0.hex()));
        let exclusive = Exclusive::take(place.store, Wait::No).unwrap();
        assert!(gc::collect(&exclusive, &BTreeSet::new()).is_err());
        assert!(has(&exclusive, b"garbage") && has(&exclusive, b"content"));
    }
}

#[test]
fn images_of_other_programs_keep_their_documents() {
    let place = Place::new();
    let (image, documents) = crate::sample::image("theirs", &[]);
    place.store.images().put(&image, &crate::sample::borrowed(&documents)).unwrap();
    let path = place.root().join("oci/index.json");
    let mut list: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    list["manifests"][0]["annotations"] = serde_json::json!({});
    fs::write(&path, list.to_string()).unwrap();
    let (_dir, store, _) = collect(place);
    assert!(store.images().document(&image.manifest).unwrap().is_some());
    assert!(store.images().document(&image.config).unwrap().is_some());
    assert_eq!(store.images().list().unwrap(), []);
}

#[test]
fn a_store_in_use_is_not_collected() {
    let place = Place::new();
    let other = Store::open(&place.root()).unwrap();
    let refused = Exclusive::take(place.store, Wait::No);
    assert!(matches!(refused, Err(Error::InUse { .. })));
    // That the lock was tried for is of no harm to those who hold it.
    drop(refused);
    let another = Store::open(other.path()).unwrap();
    assert!(matches!(Exclusive::take(another, Wait::No), Err(Error::InUse { .. })));
    assert!(Exclusive::take(other, Wait::No).is_ok());
}

#[test]
fn whoever_waits_is_told_and_gets_the_store() {
    let place = Place::new();
    let root = place.root();
    let second = Store::open(&root).unwrap();
    let (told, hears) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let waits = scope.spawn(move || {
            let notice = || told.send(()).unwrap();
            Exclusive::take(second, Wait::Yes(&notice))
                .map(|store| gc::collect(&store, &BTreeSet::new()).unwrap())
        });
        hears.recv().unwrap();
        drop(place.store);
        waits.join().unwrap().unwrap();
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn objects_are_kept_exactly_as_long_as_an_image_needs_them(
        images in vec(vec(btree_set(0..12_u8, 0..4), 0..3), 1..5),
        removed in btree_set(0..5_usize, 0..4),
    ) {
        let place = Place::new();
        let content = |number: u8| vec![number; 8 + usize::from(number)];
        let mut needed = BTreeSet::new();
        for (number, layers) in images.iter().enumerate() {
            let contents: Vec<Vec<Vec<u8>>> =
                layers.iter().map(|layer| layer.iter().map(|number| content(*number)).collect()).collect();
            let borrowed: Vec<Vec<&[u8]>> =
                contents.iter().map(|layer| layer.iter().map(Vec::as_slice).collect()).collect();
            let layers: Vec<&[&[u8]]> = borrowed.iter().map(Vec::as_slice).collect();
            let image = pull(&place.store, &format!("image-{number}"), &layers);
            if removed.contains(&number) {
                place.store.images().remove(&image.name).unwrap();
            } else {
                needed.extend(images[number].iter().flatten().copied());
            }
        }
        let (_dir, store, _) = collect(place);
        for number in 0..12 {
            prop_assert_eq!(has(&store, &content(number)), needed.contains(&number));
        }
    }
}

#[test]
fn damaged_objects_do_not_stop_it() {
    let place = Place::new();
    pull(&place.store, "image", &[&[b"content"]]);
    pull_layer(&place.store, &[b"garbage"]);
    spoil(&place.root(), b"garbage", b"rubbish");
    let directory = object_path(&place.root(), b"a directory where an object should be");
    fs::create_dir_all(directory).unwrap();
    let (_dir, store, report) = collect(place);
    assert_eq!(report.removed.objects, 2);
    assert!(has(&store, b"content"));
}
