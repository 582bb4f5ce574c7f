//! Converting images.

use serde_json::{Value, json};
use testkit::oci::{Layout, digest, gzip};
use testkit::tar::Tar;

use crate::sandbox::{Sandbox, small_tar, testdata};

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    std::os::unix::fs::symlink(testdata("image"), sandbox.path("image")).unwrap();
    sandbox
}

#[test]
fn a_layout_to_a_layout() {
    let sandbox = sandbox();
    insta::assert_snapshot!(sandbox.run("morsel convert oci:image oci:copy:new"), @r#"
    $ morsel convert oci:image oci:copy:new
    {
      "descriptor": {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": "sha256:7f1bd5..",
        "size": 698
      }
    }
    --- stderr
    oci:image -> oci:copy:new
    linux/amd64 071cddcc6961: converted; image ID ba6ef589da4d stays
      layer         became           before      after   ratio    time
      b8c063c9483c  zstd:chunked  552.7 KiB  551.5 KiB  99.8 %  [time]
    self-check  passed, every frame decodes to what was read
    time        [time]
    digest      sha256:7f1bd5.., before sha256:071cdd..
    "#);
    insta::assert_snapshot!(sandbox.run("morsel convert oci:copy:new oci:copy:again --quiet"), @r#"
    $ morsel convert oci:copy:new oci:copy:again --quiet
    {
      "descriptor": {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": "sha256:7f1bd5..",
        "size": 698
      }
    }
    "#);
}

#[test]
fn an_archive_to_an_archive_with_a_cache() {
    let sandbox = sandbox();
    sandbox.stdout("morsel convert oci:image oci-archive:one.tar --cache cache");
    insta::assert_snapshot!(sandbox.run("morsel convert oci:image oci-archive:two.tar --cache cache --descriptor two.json"), @"
    $ morsel convert oci:image oci-archive:two.tar --cache cache --descriptor two.json
    --- stderr
    oci:image -> oci-archive:two.tar
    linux/amd64 071cddcc6961: converted; image ID ba6ef589da4d stays
      layer         became                           before      after   ratio  time
      b8c063c9483c  zstd:chunked, from the cache  552.7 KiB  551.5 KiB  99.8 %     -
    self-check  nothing was converted anew
    time        [time]
    digest      sha256:7f1bd5.., before sha256:071cdd..
    ");
    assert_eq!(sandbox.read("one.tar"), sandbox.read("two.tar"));
    assert_eq!(sandbox.names(), ["cache", "image", "one.tar", "two.json", "two.tar"]);
}

#[test]
fn originals_can_stay_and_a_second_run_changes_nothing() {
    let sandbox = sandbox();
    let first = sandbox.stdout("morsel convert oci:image oci:both:x --add --quiet");
    insta::assert_snapshot!(sandbox.run("morsel convert oci:both:x oci:both:x --add"), @r#"
    $ morsel convert oci:both:x oci:both:x --add
    {
      "descriptor": {
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "digest": "sha256:940d3c..",
        "size": 554
      }
    }
    --- stderr
    oci:both:x -> oci:both:x
    linux/amd64 071cddcc6961: kept as it is, the index lists the same image as zstd:chunked
    linux/amd64 7f1bd5747225: kept as it is, it is marked as the zstd form of another image
    self-check  nothing was converted anew
    time        [time]
    digest      sha256:940d3c.., as before
    "#);
    assert_eq!(sandbox.stdout("morsel convert oci:both:x oci:both:x --add --quiet"), first);
}

#[test]
fn a_report_for_programs() {
    insta::assert_snapshot!(sandbox().run("morsel convert oci:image oci:copy --json --jobs 2"), @r#"
    $ morsel convert oci:image oci:copy --json --jobs 2
    {
      "descriptor": {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": "sha256:7f1bd5..",
        "size": 698
      },
      "source": "oci:image",
      "destination": "oci:copy",
      "before": {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": "sha256:071cdd..",
        "size": 405
      },
      "after": {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": "sha256:7f1bd5..",
        "size": 698
      },
      "self_check": "on",
      "manifests": [
        {
          "source": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": "sha256:071cdd..",
            "size": 405
          },
          "platform": "linux/amd64",
          "action": "converted",
          "result": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": "sha256:7f1bd5..",
            "size": 698
          },
          "image_id": "sha256:ba6ef5..",
          "layers": [
            {
              "source": {
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                "digest": "sha256:b8c063..",
                "size": 565970
              },
              "compression": "gzip",
              "action": "chunked",
              "result": {
                "mediaType": "application/vnd.oci.image.layer.v1.tar+zstd",
                "digest": "sha256:bfc7ee..",
                "size": 564785
              },
              "diff_id": "sha256:d1749a..",
              "tar_len": 8622080,
              "counts": {
                "entries": 47,
                "files": 22,
                "chunks": 133,
                "holes": 4,
                "frames": 156,
                "metadata_blob_len": 9804
              },
              "origin": "fresh"
            }
          ]
        }
      ],
      "warnings": [],
      "level": 3,
      "jobs": 2,
      "seconds": [time],
      "peak_memory": [memory]
    }
    "#);
}

#[test]
fn platforms_that_are_not_there() {
    insta::assert_snapshot!(sandbox().run("morsel convert oci:image oci:copy --platform linux/s390x"), @"
    $ morsel convert oci:image oci:copy --platform linux/s390x
    --- stderr
    error: cannot convert `oci:image`
      cause: `oci:image` does not list linux/s390x; it lists linux/amd64
    --- exit 4
    ");
    insta::assert_snapshot!(sandbox().run("morsel verify oci:image --platform linux/s390x"), @"
    $ morsel verify oci:image --platform linux/s390x
    --- stderr
    error: cannot verify `oci:image`
      cause: `oci:image` does not list linux/s390x; it lists linux/amd64
    --- exit 4
    ");
}

#[test]
fn transports_that_cannot_be_written() {
    insta::assert_snapshot!(sandbox().run("morsel convert oci:image docker-archive:copy.tar"), @"
    $ morsel convert oci:image docker-archive:copy.tar
    --- stderr
    error: cannot write `docker-archive:copy.tar`: expected `docker://`, `oci:` or `oci-archive:`
    --- exit 5
    ");
}

/// Makes an index of three platforms, one of which is not there, with an attestation of the first.
///
/// The first image has a layer that a TOC cannot list, and one that must not be redistributed.
fn sparse() -> Sandbox {
    const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    const LAYER: &str = "application/vnd.oci.image.layer";
    let sandbox = Sandbox::new();
    let layout = Layout::create(sandbox.path("image"));
    let manifest = |architecture: &str, layers: &[(Value, Vec<u8>)]| {
        let diff_ids: Vec<_> = layers.iter().map(|(_, tar)| digest(tar)).collect();
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config =
            layout.add_blob("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
        let layers: Vec<_> = layers.iter().map(|(layer, _)| layer).collect();
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        let mut descriptor = layout.add_blob(MANIFEST, manifest.to_string().as_bytes());
        descriptor["platform"] = json!({"os": "linux", "architecture": architecture});
        descriptor
    };
    let layer = |tar: Vec<u8>| (layout.add_blob(&format!("{LAYER}.v1.tar+gzip"), &gzip(&tar)), tar);
    let twice = Tar::new().file("a", "1").file("a", "2").finish();
    let foreign = b"of Windows".to_vec();
    let foreign =
        (layout.add_blob(&format!("{LAYER}.nondistributable.v1.tar+gzip"), &gzip(&foreign)), foreign);
    let amd64 = manifest("amd64", &[layer(small_tar()), layer(twice), foreign]);
    let arm64 = manifest("arm64", &[layer(small_tar())]);
    let mut s390x = manifest("s390x", &[]);
    std::fs::remove_file(layout.blob_path(s390x["digest"].as_str().unwrap())).unwrap();
    s390x["platform"]["architecture"] = json!("s390x");
    let mut attestation = manifest("unknown", &[]);
    attestation["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    attestation["annotations"] = json!({
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": amd64["digest"],
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [amd64, arm64, s390x, attestation],
    });
    let index = layout.add_blob("application/vnd.oci.image.index.v1+json", index.to_string().as_bytes());
    sandbox.write("image/index.json", json!({"schemaVersion": 2, "manifests": [index]}).to_string());
    sandbox
}

#[test]
fn an_index_that_is_sparse() {
    let sandbox = sparse();
    insta::assert_snapshot!(sandbox.run("morsel convert oci:image oci:all --descriptor all.json"), @"
    $ morsel convert oci:image oci:all --descriptor all.json
    --- stderr
    oci:image -> oci:all
    linux/amd64 a6d55e50a29b: converted; image ID dd3dadf89cdc stays
      layer         became          before    after    ratio    time
      f983fc20e246  zstd:chunked   1.6 KiB  2.7 KiB  166.8 %  [time]
      33da2092fa46  plain zstd       100 B    168 B  168.0 %  [time]
      8d09ef4a03ff  carried along     30 B     30 B  100.0 %       -
      warning: 33da2092fa46 is not zstd:chunked: `a` is in the tar twice
      8d09ef4a03ff is not zstd:chunked: it is foreign: it must not be redistributed
    linux/arm64 e7b65aae226a: converted; image ID 2e61259836a6 stays
      layer         became                     before    after    ratio  time
      f983fc20e246  zstd:chunked, from above  1.6 KiB  2.7 KiB  166.8 %     -
    linux/s390x 504025085a65: not there, the source is sparse
    unknown/unknown 940c7d04102c: left out, it attests sha256:a6d55e.., which is not listed any more
    self-check  passed, every frame decodes to what was read
    time        [time]
    digest      sha256:e43277.., before sha256:13e847..
    ");
    insta::assert_snapshot!(sandbox.run("morsel convert oci:image oci:one --platform linux/arm64 --descriptor one.json"), @"
    $ morsel convert oci:image oci:one --platform linux/arm64 --descriptor one.json
    --- stderr
    oci:image -> oci:one
    linux/amd64 a6d55e50a29b: left out, not asked for
    linux/arm64 e7b65aae226a: converted; image ID 2e61259836a6 stays
      layer         became         before    after    ratio    time
      f983fc20e246  zstd:chunked  1.6 KiB  2.7 KiB  166.8 %  [time]
    linux/s390x 504025085a65: left out, not asked for
    unknown/unknown 940c7d04102c: left out, it attests sha256:a6d55e.., which is not listed any more
    self-check  passed, every frame decodes to what was read
    time        [time]
    digest      sha256:ffef43.., before sha256:13e847..
    ");
    insta::assert_snapshot!(sandbox.run("morsel convert oci:image oci:none --platform linux/s390x"), @"
    $ morsel convert oci:image oci:none --platform linux/s390x
    --- stderr
    error: cannot convert `oci:image`
      cause: index sha256:13e847.. lists linux/s390x as sha256:504025.., but `oci:image` does not have it (sparse index; present: linux/amd64, linux/arm64)
    hint: `morsel mirror ORIGINAL oci:image --platform linux/s390x` adds it from where it is
    --- exit 4
    ");
    insta::assert_snapshot!(sandbox.run("morsel verify oci:image"), @"
    $ morsel verify oci:image
    oci:image: consistent, but unproven
    linux/amd64 sha256:a6d55e..: consistent, but unproven
      sha256:f983fc..     1.6 KiB  proven
      sha256:33da20..       100 B  proven
      sha256:8d09ef..        30 B  consistent, but unproven: not looked at: a foreign layer
    linux/arm64 sha256:e7b65a..: proven
      sha256:f983fc..     1.6 KiB  proven
    linux/s390x sha256:504025..: not there, the index is sparse
    unknown/unknown sha256:940c7d..: not an image
    --- exit 8
    ");
    insta::assert_snapshot!(sandbox.run("morsel inspect oci:all"), @"
    $ morsel inspect oci:all
    oci:all
    linux/amd64 sha256:19c9a8..
      image ID sha256:dd3dad..
      layer            blob  entries  chunks  metadata  format
      16e0db950aea  2.7 KiB        4       2   33.01 %  zstd:chunked (containers/storage 1.54 or newer)
      329aaf94740b    168 B        -       -         -  zstd
      8d09ef4a03ff     30 B        -       -         -  a foreign layer
      used by
        podman, CRI-O, buildah, skopeo                         in parts, 1 of 2 layers  it has no TOC
        stargz-snapshotter                                     whole                    it has no TOC
        containerd, Docker 23 or newer, umoci 0.6 or newer     whole                    it is a zstd layer to them
        without zstd: Docker before 23, umoci before 0.5       not at all               the layer is zstd
        decoders of a single frame, bootc's composefs backend  not at all               they see the first of many frames and take the tar for truncated
    linux/arm64 sha256:e7ef4d..
      image ID sha256:2e6125..
      layer            blob  entries  chunks  metadata  format
      16e0db950aea  2.7 KiB        4       2   33.01 %  zstd:chunked (containers/storage 1.54 or newer)
      used by
        podman, CRI-O, buildah, skopeo                         in parts    where `enable_partial_images` is on, which it is not by default
        stargz-snapshotter                                     whole       it looks for other annotations and a 40-byte footer
        containerd, Docker 23 or newer, umoci 0.6 or newer     whole       it is a zstd layer to them
        without zstd: Docker before 23, umoci before 0.5       not at all  the layer is zstd
        decoders of a single frame, bootc's composefs backend  not at all  they see the first of many frames and take the tar for truncated
    ");
    insta::assert_snapshot!(sandbox.run("morsel verify oci:all"), @"
    $ morsel verify oci:all
    oci:all: consistent, but unproven
    linux/amd64 sha256:19c9a8..: consistent, but unproven
      sha256:16e0db..     2.7 KiB  proven
      sha256:329aaf..       168 B  proven
      sha256:8d09ef..        30 B  consistent, but unproven: not looked at: a foreign layer
    linux/arm64 sha256:e7ef4d..: proven
      sha256:16e0db..     2.7 KiB  proven
    --- exit 8
    ");
    insta::assert_snapshot!(sandbox.run("morsel verify oci:all --platform linux/arm64"), @"
    $ morsel verify oci:all --platform linux/arm64
    oci:all: proven
    linux/arm64 sha256:e7ef4d..: proven
      sha256:16e0db..     2.7 KiB  proven
    ");
}
