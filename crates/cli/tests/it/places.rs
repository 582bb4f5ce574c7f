//! What is behind a reference, and where results go.

use std::fs;
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::{Value, json};
use testkit::oci::{Compression, Layout, digest};

use crate::sandbox::{Sandbox, small_tar};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A layout with one image named `x`.
fn with_image() -> (Sandbox, Layout) {
    let sandbox = Sandbox::new();
    let layout = Layout::create(sandbox.path("image"));
    layout.add_image("x", Compression::Gzip, &[&small_tar()]);
    (sandbox, layout)
}

/// Describes the manifest of the image named `x`, for a platform.
fn listed(layout: &Layout, platform: &str) -> Value {
    let mut descriptor = layout.index()["manifests"][0].clone();
    descriptor.as_object_mut().unwrap().remove("annotations");
    descriptor["platform"] = platform_of(platform);
    descriptor
}

/// Describes a manifest that is not there.
fn absent(platform: &str) -> Value {
    let digest = digest(platform.as_bytes());
    json!({"mediaType": MANIFEST, "digest": digest, "size": 7, "platform": platform_of(platform)})
}

fn platform_of(name: &str) -> Value {
    let parts: Vec<_> = name.split('/').collect();
    match parts[..] {
        [os, architecture, variant] => json!({"os": os, "architecture": architecture, "variant": variant}),
        [os, architecture] => json!({"os": os, "architecture": architecture}),
        _ => panic!("{name}"),
    }
}

fn index_of(layout: &Layout, children: &[Value]) -> Value {
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": children});
    layout.add_blob(INDEX, index.to_string().as_bytes())
}

/// Names an index of `children` `list`, and nothing else.
fn add_index(layout: &Layout, children: &[Value]) {
    set_root(layout, index_of(layout, children));
}

fn set_root(layout: &Layout, mut root: Value) {
    root["annotations"] = json!({"org.opencontainers.image.ref.name": "list"});
    let index = json!({"schemaVersion": 2, "manifests": [root]});
    fs::write(layout.dir().join("index.json"), index.to_string()).unwrap();
}

#[test]
fn what_is_not_there_is_not_proven() {
    let (sandbox, layout) = with_image();
    add_index(&layout, &[absent("linux/amd64"), absent("linux/arm64")]);
    insta::assert_snapshot!(sandbox.run("morsel verify oci:image:list"), @"
    $ morsel verify oci:image:list
    --- stderr
    error: cannot verify `oci:image:list`
      cause: index sha256:d867bb.. lists linux/amd64 as sha256:baf023.., linux/arm64 as sha256:b3e3ab.., but `oci:image:list` does not have them (sparse index; present: none)
    hint: `morsel mirror ORIGINAL oci:image:list --platform linux/amd64` adds it from where it is
    --- exit 4
    ");
    add_index(&layout, &[]);
    insta::assert_snapshot!(sandbox.run("morsel verify oci:image:list"), @"
    $ morsel verify oci:image:list
    --- stderr
    error: cannot verify `oci:image:list`
      cause: `oci:image:list` lists no images
    --- exit 4
    ");
    set_root(&layout, absent("linux/amd64"));
    insta::assert_snapshot!(sandbox.run("morsel verify oci:image:list"), @"
    $ morsel verify oci:image:list
    --- stderr
    error: cannot verify `oci:image:list`
      cause: blob sha256:baf023.. of `oci:image:list` is missing
    --- exit 4
    ");
    insta::assert_snapshot!(sandbox.run("morsel inspect oci:image:list"), @"
    $ morsel inspect oci:image:list
    --- stderr
    error: cannot inspect `oci:image:list`
      cause: blob sha256:baf023.. of `oci:image:list` is missing
    --- exit 4
    ");
}

#[test]
fn every_platform_that_was_asked_for_has_to_be_there() {
    let (sandbox, layout) = with_image();
    add_index(&layout, &[listed(&layout, "linux/amd64"), absent("linux/s390x")]);
    let run = |platforms: &str| sandbox.run(&format!("morsel verify oci:image:list {platforms}"));
    insta::assert_snapshot!(run("--platform linux/amd64 --platform linux/s390x"), @"
    $ morsel verify oci:image:list --platform linux/amd64 --platform linux/s390x
    --- stderr
    error: cannot verify `oci:image:list`
      cause: index sha256:e6732b.. lists linux/s390x as sha256:f2bd2b.., but `oci:image:list` does not have it (sparse index; present: linux/amd64)
    hint: `morsel mirror ORIGINAL oci:image:list --platform linux/s390x` adds it from where it is
    --- exit 4
    ");
    insta::assert_snapshot!(run("--platform linux/amd64 --platform linux/riscv64"), @"
    $ morsel verify oci:image:list --platform linux/amd64 --platform linux/riscv64
    --- stderr
    error: cannot verify `oci:image:list`
      cause: `oci:image:list` does not list linux/riscv64; it lists linux/amd64, linux/s390x
    --- exit 4
    ");
    insta::assert_snapshot!(run("--platform linux/amd64"), @"
    $ morsel verify oci:image:list --platform linux/amd64
    oci:image:list: proven
    linux/amd64 sha256:ba4b2e..: proven
      sha256:f983fc..     1.6 KiB  proven
    ");
}

#[test]
fn an_image_for_several_platforms_is_listed_for_each() {
    let (sandbox, layout) = with_image();
    let both = ["linux/arm/v6", "linux/arm/v7"].map(|platform| listed(&layout, platform));
    add_index(&layout, &both);
    insta::assert_snapshot!(sandbox.run("morsel verify oci:image:list"), @"
    $ morsel verify oci:image:list
    oci:image:list: proven
    linux/arm/v6 sha256:ba4b2e..: proven
      sha256:f983fc..     1.6 KiB  proven
    linux/arm/v7 sha256:ba4b2e..: proven
      sha256:f983fc..     1.6 KiB  proven
    ");
}

#[test]
fn attestations_are_no_images() {
    let (sandbox, layout) = with_image();
    let image = listed(&layout, "linux/amd64");
    let mut attestation = listed(&layout, "unknown/unknown");
    attestation["annotations"] = json!({
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": image["digest"],
    });
    add_index(&layout, std::slice::from_ref(&attestation));
    insta::assert_snapshot!(sandbox.run("morsel verify oci:image:list"), @"
    $ morsel verify oci:image:list
    oci:image:list: consistent, but unproven
    there is no image, so nothing is proven
    unknown/unknown sha256:ba4b2e..: not an image
    --- exit 8
    ");
    add_index(&layout, &[image, attestation]);
    insta::assert_snapshot!(sandbox.run("morsel verify oci:image:list"), @"
    $ morsel verify oci:image:list
    oci:image:list: proven
    linux/amd64 sha256:ba4b2e..: proven
      sha256:f983fc..     1.6 KiB  proven
    unknown/unknown sha256:ba4b2e..: not an image
    ");
    insta::assert_snapshot!(sandbox.run("morsel inspect oci:image:list"), @"
    $ morsel inspect oci:image:list
    oci:image:list
    linux/amd64 sha256:ba4b2e..
      image ID sha256:5fdd15..
      layer            blob  entries  chunks  metadata  format
      f983fc20e246  1.6 KiB        -       -         -  gzip
      used by
        podman, CRI-O, buildah, skopeo                         whole  it has no TOC
        stargz-snapshotter                                     whole  it has no TOC
        containerd, Docker 23 or newer, umoci 0.6 or newer     whole  every client can
        without zstd: Docker before 23, umoci before 0.5       whole  the layer is not zstd
        decoders of a single frame, bootc's composefs backend  whole  it is not zstd
    unknown/unknown sha256:ba4b2e..: not an image
    ");
}

#[test]
fn indexes_are_followed_to_a_depth() {
    let (sandbox, layout) = with_image();
    let mut root = listed(&layout, "linux/amd64");
    for _ in 0..2000 {
        root = index_of(&layout, &[root]);
    }
    set_root(&layout, root);
    for verb in ["verify", "inspect"] {
        let output = sandbox.output(&format!("morsel {verb} oci:image:list"));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains("nested more than 8 deep"), "{said}");
    }
}

#[test]
fn nothing_is_written_over_the_source_or_the_result() {
    let (sandbox, _layout) = with_image();
    sandbox.write("layer.tar", small_tar());
    sandbox.stdout("morsel convert oci:image:x oci-archive:image.tar --quiet");
    let before = sandbox.read("image.tar");
    fs::hard_link(sandbox.path("layer.tar"), sandbox.path("same.tar")).unwrap();
    let lines = [
        "morsel convert layer.tar layer.zst --descriptor layer.tar",
        "morsel convert layer.tar layer.zst --descriptor same.tar",
        "morsel convert layer.tar ./layer.zst --descriptor layer.zst",
        "morsel convert oci:image:x oci-archive:new.tar --descriptor ./new.tar",
        "morsel convert oci-archive:image.tar oci:new --descriptor image.tar",
        "morsel convert oci-archive:image.tar oci-archive:./image.tar",
    ];
    insta::assert_snapshot!(lines.map(|line| sandbox.run(line)).join("\n"), @"
    $ morsel convert layer.tar layer.zst --descriptor layer.tar
    --- stderr
    error: `layer.tar` is the source, the descriptor cannot go there
    --- exit 2

    $ morsel convert layer.tar layer.zst --descriptor same.tar
    --- stderr
    error: `same.tar` is the source, the descriptor cannot go there
    --- exit 2

    $ morsel convert layer.tar ./layer.zst --descriptor layer.zst
    --- stderr
    error: the result and its descriptor cannot both go to `layer.zst`
    --- exit 2

    $ morsel convert oci:image:x oci-archive:new.tar --descriptor ./new.tar
    --- stderr
    error: the result and its descriptor cannot both go to `./new.tar`
    --- exit 2

    $ morsel convert oci-archive:image.tar oci:new --descriptor image.tar
    --- stderr
    error: `image.tar` is the source, the descriptor cannot go there
    --- exit 2

    $ morsel convert oci-archive:image.tar oci-archive:./image.tar
    --- stderr
    error: `./image.tar` is both source and destination
    --- exit 2
    ");
    assert_eq!(sandbox.names(), ["image", "image.tar", "layer.tar", "same.tar"]);
    assert_eq!((sandbox.read("layer.tar"), sandbox.read("image.tar")), (small_tar(), before));
}

#[test]
fn what_is_no_file_is_not_replaced() {
    let (sandbox, _layout) = with_image();
    sandbox.write("layer.tar", small_tar());
    sandbox.write("old.tar", "old");
    symlink("old.tar", sandbox.path("link.tar")).unwrap();
    symlink("nowhere", sandbox.path("broken.tar")).unwrap();
    assert!(Command::new("mkfifo").arg(sandbox.path("pipe.tar")).status().unwrap().success());
    let lines = [
        "morsel convert oci:image:x oci-archive:pipe.tar",
        "morsel convert oci:image:x oci-archive:broken.tar",
        "morsel convert oci:image:x oci-archive:image",
        "morsel convert oci:image:x oci-archive:image/..",
        "morsel convert layer.tar broken.tar",
        "morsel convert layer.tar image/..",
        "morsel convert layer.tar ./image",
    ];
    insta::assert_snapshot!(lines.map(|line| sandbox.run(line)).join("\n"), @"
    $ morsel convert oci:image:x oci-archive:pipe.tar
    --- stderr
    error: cannot write `oci-archive:pipe.tar`
      cause: cannot replace `pipe.tar`, expected a regular file or a name that is free
    --- exit 2

    $ morsel convert oci:image:x oci-archive:broken.tar
    --- stderr
    error: cannot write `oci-archive:broken.tar`
      cause: cannot replace `broken.tar`, expected a regular file or a name that is free
    --- exit 2

    $ morsel convert oci:image:x oci-archive:image
    --- stderr
    error: cannot write `oci-archive:image`
      cause: cannot replace `image`, expected a regular file or a name that is free
    --- exit 2

    $ morsel convert oci:image:x oci-archive:image/..
    --- stderr
    error: cannot write `oci-archive:image/..`
      cause: cannot replace `image/..`, expected a regular file or a name that is free
    --- exit 2

    $ morsel convert layer.tar broken.tar
    --- stderr
    error: cannot write `broken.tar`
      cause: cannot replace `broken.tar`, expected a regular file or a name that is free
    --- exit 2

    $ morsel convert layer.tar image/..
    --- stderr
    error: `image/..` is not an image name; a file of that name is `./image/..`
      cause: repository `image/..` is not lower-case letters and digits, separated by `.`, `_`, `__`, `-` or `/`
    --- exit 2

    $ morsel convert layer.tar ./image
    --- stderr
    error: cannot write `./image`
      cause: it is a directory, expected a file with one layer
    --- exit 2
    ");
    let names = ["broken.tar", "image", "layer.tar", "link.tar", "old.tar", "pipe.tar"];
    sandbox.stdout("morsel convert oci:image:x oci-archive:link.tar --quiet");
    assert_eq!(sandbox.names(), names);
    assert!(fs::symlink_metadata(sandbox.path("link.tar")).unwrap().is_symlink());
    assert!(sandbox.stdout("morsel verify oci-archive:old.tar").starts_with(b"oci-archive:old.tar: proven"));
}

#[test]
fn standard_input_is_read_from_where_it_stands() {
    let sandbox = Sandbox::new();
    sandbox.write("layer.tar", small_tar());
    sandbox.stdout("morsel convert layer.tar layer.zst --descriptor layer.json");
    let blob = sandbox.read("layer.zst");
    sandbox.write("two", [b"header".as_slice(), &blob].concat());
    for line in ["morsel verify - --descriptor layer.json", "morsel inspect -", "morsel convert - again.zst"]
    {
        let mut input = fs::File::open(sandbox.path("two")).unwrap();
        input.seek(SeekFrom::Start(6)).unwrap();
        let output = sandbox.command(line).stdin(input).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(sandbox.read("again.zst"), blob);
}

#[test]
fn hints_fit_what_is_wrong() {
    let (sandbox, layout) = with_image();
    sandbox.write("L", small_tar());
    fs::write(layout.dir().join("oci-layout"), "junk").unwrap();
    let lines = ["morsel convert L layer.zst", "morsel verify oci:image:x", "morsel verify docker://L"];
    insta::assert_snapshot!(lines.map(|line| sandbox.run(line)).join("\n"), @"
    $ morsel convert L layer.zst
    --- stderr
    error: `L` is not an image name; a file of that name is `./L`
      cause: repository `library/L` is not lower-case letters and digits, separated by `.`, `_`, `__`, `-` or `/`
    --- exit 2

    $ morsel verify oci:image:x
    --- stderr
    error: cannot verify `oci:image:x`
      cause: `image/oci-layout` is malformed
      cause: expected value at line 1 column 1
    --- exit 3

    $ morsel verify docker://L
    --- stderr
    error: `L` is not an image name
      cause: repository `library/L` is not lower-case letters and digits, separated by `.`, `_`, `__`, `-` or `/`
    --- exit 2
    ");

    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = sandbox.command("morsel convert ./L - --quiet").stdout(full).output().unwrap();
    insta::assert_snapshot!(String::from_utf8_lossy(&output.stderr), @"
    error: cannot convert `./L`
      cause: cannot write the blob
      cause: no space left on device
    hint: free space where the result goes, and in TMPDIR, where archives are unpacked
    ");
}
