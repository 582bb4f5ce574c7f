//! Proving layers and images.

use std::fs;

use testkit::oci::{Compression, Layout, gzip};
use testkit::tar::sample;

use crate::sandbox::{Sandbox, small_tar, testdata};

fn converted() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("layer.tar", sample::rich_tar());
    sandbox.stdout("morsel convert layer.tar layer.zst --descriptor layer.json");
    sandbox
}

#[test]
fn a_layer_is_proven_by_its_diff_id() {
    let sandbox = converted();
    insta::assert_snapshot!(sandbox.run("morsel verify layer.zst --descriptor layer.json"), @"
    $ morsel verify layer.zst --descriptor layer.json
    layer.zst: proven
      zstd:chunked (containers/storage 1.54 or newer)
      blob 11.8 KiB, tar 60.0 KiB, 28 members
      blob digest       passed  sha256:0cd930..
      frames            passed  41 frames
      tar               passed  28 members, 61440 bytes
      diff ID           passed  sha256:8a1fa4..
      TOC               passed  zstd:chunked (containers/storage 1.54 or newer)
      TOC digest        passed  sha256:16ea45..
      TOC and tar       passed  28 entries
      ranges            passed  24 chunks of 16 files
      chunk digests     passed  12 chunks
      file digests      passed  16 files
      tar-split digest  passed  sha256:10efcf..
      tar-split         passed  rebuilds the tar
    ");
    insta::assert_snapshot!(sandbox.run("morsel verify layer.zst"), @"
    $ morsel verify layer.zst
    layer.zst: consistent, but unproven
      zstd:chunked (containers/storage 1.54 or newer)
      blob 11.8 KiB, tar 60.0 KiB, 28 members
      blob digest       -       no digest of the blob was given
      frames            passed  41 frames
      tar               passed  28 members, 61440 bytes
      diff ID           -       no diff ID was given
      TOC               passed  zstd:chunked (containers/storage 1.54 or newer)
      TOC digest        -       no annotation holds its digest
      TOC and tar       passed  28 entries
      ranges            passed  24 chunks of 16 files
      chunk digests     passed  12 chunks
      file digests      passed  16 files
      tar-split digest  passed  sha256:10efcf..
      tar-split         passed  rebuilds the tar
    hint: a diff ID, from the image's config, would prove the tar: --diff-id or --descriptor
    --- exit 8
    ");
    let diff_id = testkit::oci::digest(&sample::rich_tar());
    assert!(sandbox.output(&format!("morsel verify layer.zst --diff-id {diff_id} --quiet")).status.success());
    let piped = sandbox.run_with("morsel verify - --descriptor layer.json --quiet", "layer.zst");
    assert_eq!(piped, "$ morsel verify - --descriptor layer.json --quiet\n");
}

#[test]
fn a_wrong_diff_id_is_damage() {
    let sandbox = converted();
    let other = testkit::oci::digest(b"other");
    insta::assert_snapshot!(sandbox.run(&format!("morsel verify layer.zst --diff-id {other}")), @"
    $ morsel verify layer.zst --diff-id sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa
    layer.zst: damaged
      zstd:chunked (containers/storage 1.54 or newer)
      blob 11.8 KiB, tar 60.0 KiB, 28 members
      blob digest       -       no digest of the blob was given
      frames            passed  41 frames
      tar               passed  28 members, 61440 bytes
      diff ID           failed  sha256:8a1fa4.., expected sha256:d9298a..
      TOC               passed  zstd:chunked (containers/storage 1.54 or newer)
      TOC digest        -       no annotation holds its digest
      TOC and tar       passed  28 entries
      ranges            passed  24 chunks of 16 files
      chunk digests     passed  12 chunks
      file digests      passed  16 files
      tar-split digest  passed  sha256:10efcf..
      tar-split         passed  rebuilds the tar
    --- exit 3
    ");
}

#[test]
fn a_flipped_bit_is_damage_wherever_it_is() {
    let sandbox = converted();
    let good = sandbox.read("layer.zst");
    for at in (0..good.len()).step_by(good.len() / 40) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        sandbox.write("bad.zst", &bad);
        let code = sandbox.output("morsel verify bad.zst --descriptor layer.json").status.code();
        assert_eq!(code, Some(3), "byte {at}");
    }
    let mut bad = good;
    let middle = bad.len() / 3;
    bad[middle] ^= 0x10;
    sandbox.write("bad.zst", &bad);
    insta::assert_snapshot!(sandbox.run("morsel verify bad.zst --descriptor layer.json"), @"
    $ morsel verify bad.zst --descriptor layer.json
    bad.zst: damaged
      zstd:chunked (containers/storage 1.54 or newer)
      blob 11.8 KiB, tar 20.5 KiB, 18 members
      blob digest       failed  sha256:ba48fd.., expected sha256:0cd930..
      frames            failed  after byte 3378 of the blob: Data corruption detected
      tar               -       the blob cannot be decompressed to its end
      diff ID           -       it cannot be computed
      TOC               passed  zstd:chunked (containers/storage 1.54 or newer)
      TOC digest        passed  sha256:16ea45..
      TOC and tar       -       the tar is damaged
      ranges            passed  9 chunks of 7 files
      chunk digests     passed  2 chunks
      file digests      passed  6 files
      tar-split digest  passed  sha256:10efcf..
    --- exit 3
    ");
}

#[test]
fn layers_without_a_toc() {
    let sandbox = Sandbox::new();
    sandbox.write("layer.tar.gz", gzip(&small_tar()));
    let diff_id = testkit::oci::digest(&small_tar());
    insta::assert_snapshot!(sandbox.run("morsel verify layer.tar.gz"), @"
    $ morsel verify layer.tar.gz
    layer.tar.gz: consistent, but unproven
      no TOC
      blob 1.6 KiB, tar 8.5 KiB, 4 members
      blob digest  -       no digest of the blob was given
      frames       passed  1 frames
      tar          passed  4 members, 8704 bytes
      diff ID      -       no diff ID was given
      TOC          -       the layer has no TOC
    hint: a diff ID, from the image's config, would prove the tar: --diff-id or --descriptor
    --- exit 8
    ");
    insta::assert_snapshot!(sandbox.run(&format!("morsel verify layer.tar.gz --diff-id {diff_id}")), @"
    $ morsel verify layer.tar.gz --diff-id sha256:223cf5f0a67476d797f78844c157310e0bdcd49d8728945b7af54f61ba9514e9
    layer.tar.gz: proven
      no TOC
      blob 1.6 KiB, tar 8.5 KiB, 4 members
      blob digest  -       no digest of the blob was given
      frames       passed  1 frames
      tar          passed  4 members, 8704 bytes
      diff ID      passed  sha256:223cf5..
      TOC          -       the layer has no TOC
    ");
}

#[test]
fn layers_of_other_tools_are_consistent() {
    for tool in [
        "skopeo-1.9.3",
        "skopeo-1.18.0",
        "skopeo-1.22.0",
        "ctr-remote-0.14.3-zstdchunked",
        "ctr-remote-0.14.3-estargz",
    ] {
        let line = format!("morsel verify {0}/blob --descriptor {0}/descriptor.json", testdata(tool));
        let output = Sandbox::new().output(&line);
        assert_eq!(output.status.code(), Some(8), "{tool}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn a_report_for_programs() {
    insta::assert_snapshot!(converted().run("morsel verify layer.zst --descriptor layer.json --json"), @r#"
    $ morsel verify layer.zst --descriptor layer.json --json
    {
      "verdict": "proven",
      "dialect": "current",
      "blob_digest": "sha256:0cd930..",
      "blob_len": 12071,
      "diff_id": "sha256:8a1fa4..",
      "tar_len": 61440,
      "members": 28,
      "files": 16,
      "chunks": 24,
      "checks": [
        {
          "name": "blob-digest",
          "outcome": "passed",
          "detail": "sha256:0cd930.."
        },
        {
          "name": "frames",
          "outcome": "passed",
          "detail": "41 frames"
        },
        {
          "name": "tar",
          "outcome": "passed",
          "detail": "28 members, 61440 bytes"
        },
        {
          "name": "diff-id",
          "outcome": "passed",
          "detail": "sha256:8a1fa4.."
        },
        {
          "name": "toc",
          "outcome": "passed",
          "detail": "zstd:chunked (containers/storage 1.54 or newer)"
        },
        {
          "name": "toc-digest",
          "outcome": "passed",
          "detail": "sha256:16ea45.."
        },
        {
          "name": "toc-and-tar",
          "outcome": "passed",
          "detail": "28 entries"
        },
        {
          "name": "ranges",
          "outcome": "passed",
          "detail": "24 chunks of 16 files"
        },
        {
          "name": "chunk-digests",
          "outcome": "passed",
          "detail": "12 chunks"
        },
        {
          "name": "file-digests",
          "outcome": "passed",
          "detail": "16 files"
        },
        {
          "name": "tar-split-digest",
          "outcome": "passed",
          "detail": "sha256:10efcf.."
        },
        {
          "name": "tar-split",
          "outcome": "passed",
          "detail": "rebuilds the tar"
        }
      ]
    }
    "#);
}

#[test]
fn an_image_is_proven_by_its_config() {
    let sandbox = Sandbox::new();
    std::os::unix::fs::symlink(testdata("image"), sandbox.path("image")).unwrap();
    sandbox.stdout("morsel convert oci:image oci:both:x --add");
    insta::assert_snapshot!(sandbox.run("morsel verify oci:both:x"), @"
    $ morsel verify oci:both:x
    oci:both:x: proven
    linux/amd64 sha256:071cdd..: proven
      sha256:b8c063..   552.7 KiB  proven
    linux/amd64 sha256:7f1bd5..: proven
      sha256:bfc7ee..   551.5 KiB  proven
    ");
}

#[test]
fn an_image_with_a_damaged_and_a_missing_layer() {
    let sandbox = Sandbox::new();
    let layout = Layout::create(sandbox.path("image"));
    let (one, two) = (small_tar(), sample::rich_tar());
    layout.add_image("x", Compression::Gzip, &[&one, &two]);
    let path = |position: usize| {
        let layers = layout.layers("x");
        layout.blob_path(layers[position]["digest"].as_str().unwrap())
    };
    fs::remove_file(path(0)).unwrap();
    let mut bytes = fs::read(path(1)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path(1), bytes).unwrap();
    insta::assert_snapshot!(sandbox.run("morsel verify oci:image:x"), @"
    $ morsel verify oci:image:x
    oci:image:x: damaged
    linux/amd64 sha256:b5c416..: damaged
      sha256:f983fc..     1.6 KiB  damaged: the blob is not there
      sha256:471018..     5.4 KiB  damaged
        blob digest  failed  sha256:5d8a26.., expected sha256:471018..
        frames       failed  after byte 0 of the blob: deflate decompression error: incorrect data check
    --- exit 3
    ");
}

#[test]
fn descriptors_that_are_none() {
    let sandbox = converted();
    sandbox.write("junk.json", "{\"descriptor\": 3}");
    sandbox.write("text.json", "no JSON");
    let lines = [
        "morsel verify layer.zst --descriptor missing.json",
        "morsel verify layer.zst --descriptor junk.json",
        "morsel verify layer.zst --descriptor text.json",
        "morsel verify layer.zst --diff-id sha256:0",
        "morsel verify oci:image --diff-id sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "morsel verify oci:image --descriptor layer.json",
    ];
    insta::assert_snapshot!(lines.map(|line| sandbox.run(line)).join("\n"), @"
    $ morsel verify layer.zst --descriptor missing.json
    --- stderr
    error: cannot read the descriptor `missing.json`
      cause: no such file or directory
    --- exit 4

    $ morsel verify layer.zst --descriptor junk.json
    --- stderr
    error: cannot read the descriptor `junk.json`
      cause: it is neither what `morsel convert` prints nor an OCI descriptor
    --- exit 3

    $ morsel verify layer.zst --descriptor text.json
    --- stderr
    error: cannot read the descriptor `text.json`
      cause: it is neither what `morsel convert` prints nor an OCI descriptor
    --- exit 3

    $ morsel verify layer.zst --diff-id sha256:0
    --- stderr
    error: invalid value 'sha256:0..' for '--diff-id <DIGEST>': digest `sha256:0..` does not have the lower-case hexadecimal digits its algorithm asks for

    For more information, try '--help'.
    --- exit 2

    $ morsel verify oci:image --diff-id sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
    --- stderr
    error: `--diff-id` is for a single layer, and `oci:image` an image
    --- exit 2

    $ morsel verify oci:image --descriptor layer.json
    --- stderr
    error: `--descriptor` is for a single layer, and `oci:image` an image
    --- exit 2
    ");
}
