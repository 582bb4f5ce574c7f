use std::fs;

use chunked::{BlobDigest, Class, DiffId, TocDigest};
use morsel_store::{LayerRecord, LayerState, Store};

use crate::sample::{Place, files, layer};

#[test]
fn layers_are_found_by_blob_and_by_diff_id_and_replaced_as_a_whole() {
    let place = Place::new();
    let layers = place.store.layers();
    let (record, toc) = layer(&[b"one", b"a content of two chunks"]);
    let diff_id = record.diff_id.unwrap();
    assert_eq!(layers.find(&record.blob).unwrap(), None);
    layers.save(&record, &toc, Some(b"tar-split")).unwrap();
    assert_eq!(layers.find(&record.blob).unwrap().as_ref(), Some(&record));
    assert_eq!(layers.find(&BlobDigest::of(b"other")).unwrap(), None);
    assert_eq!(layers.find_diff_id(&diff_id).unwrap(), None, "it is not proven");
    assert_eq!(layers.toc(&record).unwrap().entries.len(), 2);
    assert_eq!(layers.tar_split(&record).unwrap().as_deref(), Some(b"tar-split".as_slice()));

    let proven = layers.set_state(&record, LayerState::Proven).unwrap();
    assert_eq!(layers.find(&record.blob).unwrap().as_ref(), Some(&proven));
    assert_eq!(layers.find_diff_id(&diff_id).unwrap(), Some(proven));
    assert_eq!(layers.find_diff_id(&DiffId::of(b"other")).unwrap(), None);
    layers.save(&record, &toc, None).unwrap();
    assert_eq!(layers.tar_split(&record).unwrap(), None);
    assert_eq!(layers.find_diff_id(&diff_id).unwrap(), None);
    assert_eq!(layers.list().unwrap(), [record.toc_digest]);
    assert_eq!(files(&place.root().join("tmp")), [""; 0]);
}

#[test]
fn a_tar_that_is_only_claimed_leads_to_no_layer_and_hides_none() {
    let place = Place::new();
    let layers = place.store.layers();
    let (honest, honest_toc) = layer(&[b"honest"]);
    let (evil, evil_toc) = layer(&[b"evil"]);
    let diff_id = DiffId::of(b"the tar of the honest layer");
    let claimed = LayerRecord { diff_id: Some(diff_id), state: LayerState::Complete, ..evil };
    layers.save(&claimed, &evil_toc, None).unwrap();
    assert_eq!(layers.find_diff_id(&diff_id).unwrap(), None);

    let proven = LayerRecord { diff_id: Some(diff_id), state: LayerState::Proven, ..honest };
    layers.save(&proven, &honest_toc, None).unwrap();
    layers.save(&claimed, &evil_toc, None).unwrap();
    assert_eq!(layers.find_diff_id(&diff_id).unwrap(), Some(proven));
}

#[test]
fn a_toc_is_only_stored_under_its_own_digest() {
    let place = Place::new();
    let (record, _) = layer(&[b"one"]);
    let error = place.store.layers().save(&record, b"something else", None).unwrap_err();
    assert_eq!(error.class(), Class::Corrupt);
    assert_eq!(place.store.layers().list().unwrap(), []);
}

#[test]
fn hostile_records_are_errors_and_hostile_links_lead_nowhere() {
    let place = Place::new();
    let layers = place.store.layers();
    let (record, toc) = layer(&[b"one"]);
    layers.save(&record, &toc, None).unwrap();
    let file = place.root().join("layers").join(record.toc_digest.0.hex()).join("record.json");
    let good = fs::read_to_string(&file).unwrap();
    let other = TocDigest::of(b"other").to_string();
    let records = [
        String::new(),
        "[".repeat(10_000),
        "x".repeat(100_000),
        good.replace(&record.toc_digest.to_string(), &other),
        good.replace("\"indexed\"", "\"trusted\""),
        good.replace(&record.blob_len.to_string(), "-1"),
    ];
    for hostile in records {
        fs::write(&file, &hostile).unwrap();
        let error = layers.find(&record.blob).unwrap_err();
        assert_eq!(error.class(), Class::Corrupt, "{error}");
        assert!(error.to_string().len() < 600, "{error}");
    }
    fs::write(&file, good).unwrap();

    let link = place.root().join("layers/by-blob").join(record.blob.0.hex());
    for hostile in ["", "sha256:../../x", &"x".repeat(1 << 20), &other] {
        fs::write(&link, hostile).unwrap();
        assert_eq!(layers.find(&record.blob).unwrap(), None);
    }
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
    assert!(layers.find(&record.blob).is_err());
    layers.save(&record, &toc, None).unwrap_err();
    assert_eq!(Store::open(&place.root()).unwrap().layers().get(&record.toc_digest).unwrap(), Some(record));
}

/// Configs may hold secrets, and TOCs say which files a private image has.
#[test]
fn what_is_said_of_images_is_for_the_owner_of_a_new_store_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("store");
    let mode = |name: &str| std::fs::metadata(root.join(name)).unwrap().permissions().mode() & 0o777;
    drop(Store::open(&root).unwrap());
    assert_eq!(["oci", "layers", "chains"].map(mode), [0o700; 3]);
    assert_eq!(mode("") & 0o011, 0o011, "engines go through it to the images that are published");
    std::fs::set_permissions(root.join("oci"), PermissionsExt::from_mode(0o755)).unwrap();
    drop(Store::open(&root).unwrap());
    assert_eq!(mode("oci"), 0o755, "who opens it to others keeps it so");
}
