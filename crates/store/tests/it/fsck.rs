use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;

use chunked::ContentDigest;
use morsel_store::fsck::{self, Findings, ImageProblem, LayerProblem, NoProgress, Options};
use morsel_store::{Exclusive, LayerState, Store, Wait};

use crate::sample::{Place, has, object_path, pull, spoil};

fn check(store: &Store) -> Findings {
    let options = Options { threads: NonZeroUsize::new(3).unwrap(), since: None };
    fsck::check(store, &options, &NoProgress).unwrap()
}

fn repair(place: Place) -> (tempfile::TempDir, Exclusive, fsck::Repairs) {
    let store = Exclusive::take(place.store, Wait::No).unwrap();
    let findings = check(&store);
    let repairs = fsck::repair(&store, &findings).unwrap();
    (place.dir, store, repairs)
}

#[test]
fn a_sound_store_is_clean() {
    let place = Place::new();
    pull(&place.store, "one", &[&[b"a", b"a content of several chunks"], &[b"", b"b"]]);
    let findings = check(&place.store);
    assert!(findings.is_clean(), "{findings:?}");
    assert_eq!((findings.objects, findings.objects_len, findings.layers, findings.images), (3, 29, 2, 1));
}

#[test]
fn every_flipped_byte_of_an_object_is_found_and_fetched_again() {
    let place = Place::new();
    let content = b"a content of several chunks";
    let image = pull(&place.store, "one", &[&[b"a", content], &[b"b"]]);
    let path = object_path(&place.root(), content);
    for byte in 0..content.len() {
        let mut flipped = content.to_vec();
        flipped[byte] ^= 0x10;
        spoil(&place.root(), content, &flipped);
        let [bad] = check(&place.store).bad_objects.try_into().unwrap();
        assert_eq!(bad.digest, ContentDigest::of(content));
    }
    assert!(path.exists(), "a check changes nothing");
    let findings = check(&place.store);
    assert_eq!(findings.bad_layers[0].toc_digest, image.layers[0]);
    assert_eq!(findings.bad_layers[0].problem, LayerProblem::Lacks(1));
    assert_eq!((findings.bad_layers.len(), findings.bad_images.len()), (1, 0));

    let (_dir, store, repairs) = repair(place);
    assert_eq!((repairs.objects_removed, repairs.layers_downgraded, repairs.layers_removed), (1, 1, 0));
    assert!(!has(&store, content) && has(&store, b"a"));
    let state = |layer: usize| store.layers().get(&image.layers[layer]).unwrap().unwrap().state;
    assert_eq!([state(0), state(1)], [LayerState::Indexed, LayerState::Complete]);
    // The index led to the content.
    assert_eq!(store.index().shape().rows, 0);
    assert!(check(&store).is_clean());
}

#[test]
fn objects_that_are_no_files_are_found() {
    let place = Place::new();
    pull(&place.store, "one", &[&[b"a", b"b"]]);
    let path = object_path(&place.root(), b"a");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let path = object_path(&place.root(), b"b");
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
    assert_eq!(check(&place.store).bad_objects.len(), 2);
    let (_dir, store, repairs) = repair(place);
    assert_eq!(repairs.objects_removed, 2);
    assert!(check(&store).is_clean());
}

#[test]
fn lost_objects_are_found() {
    let place = Place::new();
    pull(&place.store, "one", &[&[b"a", b"b"]]);
    fs::remove_file(object_path(&place.root(), b"a")).unwrap();
    let findings = check(&place.store);
    assert_eq!(findings.bad_layers[0].problem, LayerProblem::Lacks(1));
    let (_dir, store, repairs) = repair(place);
    assert_eq!((repairs.objects_removed, repairs.layers_downgraded), (0, 1));
    assert!(check(&store).is_clean());
}

#[test]
fn damaged_layers_are_removed() {
    for file in ["record.json", "toc", "tar-split"] {
        let place = Place::new();
        let image = pull(&place.store, "one", &[&[b"a"]]);
        let path = place.root().join("layers").join(image.layers[0].0.hex()).join(file);
        let mut bytes = fs::read(&path).unwrap();
        bytes[0] ^= 0x20;
        fs::write(&path, bytes).unwrap();
        let findings = check(&place.store);
        assert!(matches!(&findings.bad_layers[0].problem, LayerProblem::Damaged(_)), "{findings:?}");
        let (_dir, store, repairs) = repair(place);
        assert_eq!(repairs.layers_removed, 1);
        // What is left to do is to pull the image again.
        let findings = check(&store);
        assert_eq!(findings.bad_images[0].problem, ImageProblem::LacksLayers(1));
        assert_eq!(findings.bad_layers, []);
    }
}

#[test]
fn images_with_damaged_documents_are_removed() {
    let place = Place::new();
    let image = pull(&place.store, "one", &[&[b"a"]]);
    let path = place.root().join("oci/blobs/sha256").join(image.config.0.hex());
    fs::write(&path, "{}").unwrap();
    let findings = check(&place.store);
    assert!(matches!(&findings.bad_images[0].problem, ImageProblem::Document(_)), "{findings:?}");
    let (_dir, store, repairs) = repair(place);
    assert_eq!(repairs.images_removed, 1);
    assert!(check(&store).is_clean());
    pull(&store, "one", &[&[b"a"]]);
    assert!(check(&store).is_clean());
}

#[test]
fn a_damaged_index_is_made_anew() {
    let place = Place::new();
    pull(&place.store, "one", &[&[b"a content of several chunks"]]);
    let Place { dir, store } = place;
    let root = store.path().to_owned();
    drop(store);
    let run = fs::read_dir(root.join("index")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&run).unwrap();
    // Three rows, then the digest of the object.
    let rows = bytes.len() - 4 * 32;
    // The first key becomes the greatest: out of order.
    bytes[rows + 4..rows + 16].fill(0xff);
    fs::remove_file(&run).unwrap();
    fs::write(&run, bytes).unwrap();
    fs::set_permissions(&run, fs::Permissions::from_mode(0o400)).unwrap();
    let place = Place { dir, store: Store::open(&root).unwrap() };
    assert!(check(&place.store).bad_index);
    let (_dir, store, repairs) = repair(place);
    assert!(repairs.index_rebuilt);
    assert_eq!(store.index().shape().rows, 3);
    assert!(check(&store).is_clean());
}
