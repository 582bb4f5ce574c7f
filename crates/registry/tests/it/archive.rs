use std::fs;
use std::io::Write;
use std::path::Path;

use chunked::BlobDigest;
use chunked::digest::DiffId;
use morsel_registry::media_type::MediaType;

use testkit::oci::gzip;
use testkit::process::run;
use testkit::tar::Tar;
use testkit::tools::{self, Tier};

use crate::made::{blob_of, config, create, failure, manifest_of, open, put_image, reference, tar};

fn hide(text: String, dir: &Path) -> String {
    text.replace(dir.to_str().unwrap(), "DIR")
}

fn write_archive(path: &Path) {
    let mut sink = create(&reference("oci-archive", path, ":v1")).unwrap();
    let image = put_image(&mut *sink, "linux/amd64", &[tar(&[("a", b"1")]), tar(&[("b", &[7; 3000])])]);
    let mut given_up = sink.start_blob().unwrap();
    given_up.write_all(&[9; 1 << 20]).unwrap();
    drop(given_up);
    sink.commit(&image).unwrap();
}

#[test]
fn an_image_goes_into_a_tar_and_comes_out_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tar");
    write_archive(&path);
    let source = open(&reference("oci-archive", &path, ":v1")).unwrap();
    let manifest = manifest_of(&*source, source.root());
    assert_eq!(blob_of(&*source, &manifest.layers[1]), gzip(&tar(&[("b", &[7; 3000])])));
    assert_eq!(
        blob_of(&*source, &manifest.config),
        config("linux/amd64", &[tar(&[("a", b"1")]), tar(&[("b", &[7; 3000])])])
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    insta::assert_snapshot!(hide(failure(open(&reference("oci-archive", &path, ":v2")).map(drop)), dir.path()), @"there is no image `oci-archive:DIR/a.tar:v2`; names there: v1");
}

#[test]
fn the_same_image_gives_the_same_tar() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [dir.path().join("a.tar"), dir.path().join("b.tar")];
    paths.iter().for_each(|path| write_archive(path));
    assert!(fs::read(&paths[0]).unwrap() == fs::read(&paths[1]).unwrap());
}

#[test]
fn tool_tar_lists_what_we_write() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tar");
    write_archive(&path);
    let Some(mut tar) = tools::host(Tier::Tool, "tar") else { return };
    let listing = run(tar.arg("-tvf").arg(&path));
    let names: Vec<&str> = listing.text().lines().filter_map(|line| line.split(' ').next_back()).collect();
    assert_eq!(names[..3], ["oci-layout", "blobs/", "blobs/sha256/"]);
    assert_eq!((names.len(), names.last()), (8, Some(&"index.json")));
}

#[test]
fn an_archive_that_is_given_up_does_not_replace_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tar");
    fs::write(&path, "old").unwrap();
    let mut sink = create(&reference("oci-archive", &path, "")).unwrap();
    put_image(&mut *sink, "linux/amd64", &[tar(&[])]);
    drop(sink);
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn truncated_archives_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tar");
    write_archive(&path);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..2000]).unwrap();
    insta::assert_snapshot!(hide(failure(open(&reference("oci-archive", &path, "")).map(drop)), dir.path()), @"`DIR/a.tar` is not a valid archive of images: it ends within the member at byte 1536");
    fs::write(&path, &whole[..512]).unwrap();
    insta::assert_snapshot!(hide(failure(open(&reference("oci-archive", &path, "")).map(drop)), dir.path()), @"`DIR/a.tar` is not a valid archive of images: it ends within the member at byte 0");
    fs::write(&path, "").unwrap();
    insta::assert_snapshot!(hide(failure(open(&reference("oci-archive", &path, "")).map(drop)), dir.path()), @"`DIR/a.tar` is not an OCI image layout: it has no `oci-layout`");
}

/// A Docker archive with a plain layer, the same as a link, and a compressed one; and with a second image.
fn docker_archive(path: &Path) -> Vec<Vec<u8>> {
    let layers = vec![tar(&[("a", b"1")]), tar(&[("a", b"1")]), tar(&[("b", b"2")])];
    let config = config("linux/amd64", &layers);
    let list = serde_json::json!([
        {"Config": "c.json", "RepoTags": ["debian:12", "team/app:1"], "Layers": ["1/layer.tar", "2/layer.tar", "3/layer.tar"]},
        {"Config": "c.json", "RepoTags": null, "Layers": ["1/layer.tar"]},
        {"Config": "missing.json", "RepoTags": ["broken:1"], "Layers": null},
    ]);
    let tar = Tar::new()
        .file("manifest.json", serde_json::to_vec(&list).unwrap())
        .file("c.json", config)
        .file("1/layer.tar", &layers[0])
        .file("3/layer.tar", gzip(&layers[2]))
        .symlink("2/layer.tar", "../1/layer.tar");
    fs::write(path, tar.finish()).unwrap();
    layers
}

#[test]
fn docker_archives_look_like_oci_images() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("d.tar");
    let layers = docker_archive(&path);
    for image in [":debian:12", ":docker.io/library/debian:12", ":team/app:1", ":@0"] {
        let source = open(&reference("docker-archive", &path, image)).unwrap();
        let manifest = manifest_of(&*source, source.root());
        assert_eq!(manifest.config.media_type, MediaType::OCI_CONFIG);
        assert_eq!(blob_of(&*source, &manifest.config), config("linux/amd64", &layers));
        for plain in [0, 1] {
            assert_eq!(manifest.layers[plain].media_type, MediaType::OCI_LAYER);
            assert_eq!(manifest.layers[plain].digest.0, DiffId::of(&layers[0]).0);
            assert_eq!(blob_of(&*source, &manifest.layers[plain]), layers[0]);
        }
        assert_eq!(manifest.layers[2].media_type, MediaType::OCI_LAYER_GZIP);
        assert_eq!(manifest.layers[2].digest, BlobDigest::of(&gzip(&layers[2])));
    }
}

#[test]
fn docker_archives_say_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("d.tar");
    docker_archive(&path);
    let message =
        |image| hide(failure(open(&reference("docker-archive", &path, image)).map(drop)), dir.path());
    insta::assert_snapshot!(message(""), @"`docker-archive:DIR/d.tar` could be any of several images; names there: debian:12, team/app:1, broken:1");
    insta::assert_snapshot!(message(":debian:13"), @"there is no image `docker-archive:DIR/d.tar:docker.io/library/debian:13`; names there: debian:12, team/app:1, broken:1");
    insta::assert_snapshot!(message(":@1"), @"`DIR/d.tar` is not a valid archive of images: image 1 lists 1 layers, its configuration 3");
    insta::assert_snapshot!(message(":@3"), @"there is no image `docker-archive:DIR/d.tar:@3`; names there: debian:12, team/app:1, broken:1");
    insta::assert_snapshot!(message(":broken:1"), @"`DIR/d.tar` names `missing.json`, which it does not hold");
    fs::write(&path, tar(&[("x", b"")])).unwrap();
    insta::assert_snapshot!(message(""), @"`DIR/d.tar` is not a Docker archive: it has no `manifest.json`");
    insta::assert_snapshot!(hide(failure(create(&reference("docker-archive", &path, "")).map(drop)), dir.path()), @"cannot write `docker-archive:DIR/d.tar`: expected `docker://`, `oci:` or `oci-archive:`");
}
