use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use morsel_registry::descriptor::Descriptor;
use morsel_registry::media_type::MediaType;

use crate::made::{create, failure, open, put_blob, put_image, reference, tar};

fn write(dir: &Path, tag: &str, content: &[u8]) -> Descriptor {
    let mut sink = create(&reference("oci", dir, tag)).unwrap();
    let image = put_image(&mut *sink, "linux/amd64", &[tar(&[("file", content)])]);
    sink.commit(&image).unwrap();
    image
}

fn blob_path(dir: &Path, descriptor: &Descriptor) -> PathBuf {
    dir.join("blobs/sha256").join(descriptor.digest.0.hex())
}

/// Names of all files below a directory.
fn files(dir: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { names.extend(files(&path)) } else { names.push(path.display().to_string()) }
    }
    names.sort();
    names
}

#[test]
fn an_image_is_found_by_its_tag_or_by_being_alone() {
    let dir = tempfile::tempdir().unwrap();
    let one = write(dir.path(), ":one", b"1");
    assert_eq!(open(&reference("oci", dir.path(), "")).unwrap().root().digest, one.digest);
    let two = write(dir.path(), ":two", b"2");
    assert_eq!(open(&reference("oci", dir.path(), ":one")).unwrap().root().digest, one.digest);
    assert_eq!(open(&reference("oci", dir.path(), ":two")).unwrap().root().digest, two.digest);
    let message = |image| {
        failure(open(&reference("oci", dir.path(), image))).replace(dir.path().to_str().unwrap(), "DIR")
    };
    insta::assert_snapshot!(message(""), @"`oci:DIR` could be any of several images; names there: one, two");
    insta::assert_snapshot!(message(":three"), @"there is no image `oci:DIR:three`; names there: one, two");
}

#[test]
fn processes_do_not_lose_each_others_tags() {
    let dir = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for number in 0..16 {
            let dir = dir.path();
            scope.spawn(move || write(dir, &format!(":{number}"), &[number]));
        }
    });
    for number in 0..16 {
        open(&reference("oci", dir.path(), &format!(":{number}"))).unwrap();
    }
}

#[test]
fn what_is_given_up_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), ":one", b"1");
    let before = files(dir.path());
    let mut sink = create(&reference("oci", dir.path(), ":two")).unwrap();
    let mut blob = sink.start_blob().unwrap();
    blob.write_all(&[7; 1 << 20]).unwrap();
    drop(blob);
    drop(sink);
    assert_eq!(files(dir.path()), before);
}

#[test]
fn a_new_layout_is_one_from_its_first_blob_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new");
    let mut sink = create(&reference("oci", &path, ":one")).unwrap();
    assert!(!path.exists());
    put_blob(&mut *sink, MediaType::OCI_LAYER, b"x");
    drop(sink);
    let message = failure(open(&reference("oci", &path, ":one")).map(drop));
    insta::assert_snapshot!(message.replace(dir.path().to_str().unwrap(), "DIR"), @"there is no image `oci:DIR/new:one`; names there: none");
}

#[test]
fn damaged_blobs_are_not_there_and_are_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let image = write(dir.path(), ":one", b"1");
    let path = blob_path(dir.path(), &image);
    let whole = fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    flipped[5] ^= 1;
    let has_blob = || {
        let sink = create(&reference("oci", dir.path(), "")).unwrap();
        sink.has_blob(&image.digest, image.len).unwrap()
    };
    for damaged in [vec![], flipped] {
        fs::write(&path, damaged).unwrap();
        assert!(!has_blob());
        write(dir.path(), ":one", b"1");
        assert_eq!(fs::read(&path).unwrap(), whole);
        assert!(has_blob());
    }
}

#[test]
fn damage_is_found_when_read() {
    let dir = tempfile::tempdir().unwrap();
    let image = write(dir.path(), ":one", b"1");
    let source = open(&reference("oci", dir.path(), "")).unwrap();
    let mut bytes = fs::read(blob_path(dir.path(), &image)).unwrap();
    bytes[5] ^= 1;
    fs::write(blob_path(dir.path(), &image), &bytes).unwrap();
    let message = failure(source.document(&image)).replace(dir.path().to_str().unwrap(), "DIR");
    insta::assert_snapshot!(message, @"cannot read blob sha256:... of `oci:DIR`: digest of the body is sha256:..., expected sha256:...");
    let lying = Descriptor { len: image.len + 1, ..image.clone() };
    let message = failure(source.blob(&lying).map(drop)).replace(dir.path().to_str().unwrap(), "DIR");
    insta::assert_snapshot!(message, @"blob sha256:... of `oci:DIR` is 400 bytes long, its descriptor says 401");
    fs::remove_file(blob_path(dir.path(), &image)).unwrap();
    assert!(source.document(&image).unwrap().is_none());
    assert!(source.blob(&image).unwrap().is_none());
}

#[test]
fn links_out_of_a_layout_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let image = write(dir.path(), ":one", b"1");
    let elsewhere = outside.path().join("blob");
    fs::rename(blob_path(dir.path(), &image), &elsewhere).unwrap();
    symlink(&elsewhere, blob_path(dir.path(), &image)).unwrap();
    let source = open(&reference("oci", dir.path(), "")).unwrap();
    assert!(source.document(&image).is_err());

    fs::rename(dir.path().join("blobs"), outside.path().join("blobs")).unwrap();
    symlink(outside.path().join("blobs"), dir.path().join("blobs")).unwrap();
    let before = files(outside.path());
    assert!(create(&reference("oci", dir.path(), ":two")).is_err());
    assert_eq!(files(outside.path()), before);
}

#[test]
fn other_directories_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis"), "x").unwrap();
    let message = |result: String| result.replace(dir.path().to_str().unwrap(), "DIR");
    insta::assert_snapshot!(message(failure(create(&reference("oci", dir.path(), "")).map(drop))), @"`DIR` is not an OCI image layout: it has no `oci-layout`");
    insta::assert_snapshot!(message(failure(open(&reference("oci", dir.path(), "")).map(drop))), @"`DIR` is not an OCI image layout: it has no `oci-layout`");
    insta::assert_snapshot!(message(failure(open(&reference("oci", &dir.path().join("none"), "")).map(drop))), @"cannot open `DIR/none`: No such file or directory (os error 2)");
    assert_eq!(files(dir.path()).len(), 1);
}

#[test]
fn malformed_layouts_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), ":one", b"1");
    let message = || {
        failure(open(&reference("oci", dir.path(), "")).map(drop))
            .replace(dir.path().to_str().unwrap(), "DIR")
    };
    let index = dir.path().join("index.json");
    fs::write(&index, r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:../../x"}]}"#).unwrap();
    insta::assert_snapshot!(message(), @"`DIR/index.json` is malformed: digest `sha256:...../../x` does not have the lower-case hexadecimal digits its algorithm asks for at line 1 column 59");
    let entry = Descriptor::new(MediaType::OCI_MANIFEST, chunked::BlobDigest::of(b""), 1);
    let entry = serde_json::to_string(&entry).unwrap();
    let million = vec![entry; 1_000_000].join(",");
    fs::write(&index, format!(r#"{{"schemaVersion":2,"manifests":[{million}]}}"#)).unwrap();
    insta::assert_snapshot!(message(), @"`DIR/index.json` is longer than 4194304 bytes");
    fs::write(dir.path().join("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
    insta::assert_snapshot!(message(), @"`DIR` is an OCI image layout of version `2.0.0`, expected `1.0.0`");
}

#[test]
fn unknown_fields_of_the_index_survive() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), ":one", b"1");
    let index = dir.path().join("index.json");
    let text = fs::read_to_string(&index).unwrap();
    fs::write(&index, text.replacen('{', r#"{"extension":[1,2],"annotations":{"a":"b"},"#, 1)).unwrap();
    write(dir.path(), ":two", b"2");
    let value: serde_json::Value = serde_json::from_slice(&fs::read(&index).unwrap()).unwrap();
    assert_eq!(value["extension"], serde_json::json!([1, 2]));
    assert_eq!(value["annotations"]["a"], "b");
    assert_eq!(value["manifests"].as_array().unwrap().len(), 2);
}

#[test]
fn blobs_are_read_from_any_offset() {
    let dir = tempfile::tempdir().unwrap();
    let mut sink = create(&reference("oci", dir.path(), "")).unwrap();
    let layer = put_blob(&mut *sink, MediaType::OCI_LAYER, b"0123456789");
    sink.commit(&layer).unwrap();
    let source = open(&reference("oci", dir.path(), "")).unwrap();
    let blob = source.blob(&layer).unwrap().unwrap();
    let mut middle = String::new();
    let range = chunked::BlobRange::new(3, 6).unwrap();
    blob.read_range(range).unwrap().read_to_string(&mut middle).unwrap();
    assert_eq!((middle.as_str(), blob.blob_len()), ("345", 10));
}
