//! Converting images.

use crate::sandbox::{Sandbox, testdata};

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
        "media_type": "application/vnd.oci.image.manifest.v1+json",
        "digest": "sha256:071cdd..",
        "len": 405
      },
      "after": {
        "media_type": "application/vnd.oci.image.manifest.v1+json",
        "digest": "sha256:7f1bd5..",
        "len": 698
      },
      "self_check": "on",
      "manifests": [
        {
          "source": {
            "media_type": "application/vnd.oci.image.manifest.v1+json",
            "digest": "sha256:071cdd..",
            "len": 405
          },
          "platform": "linux/amd64",
          "action": "converted",
          "result": {
            "media_type": "application/vnd.oci.image.manifest.v1+json",
            "digest": "sha256:7f1bd5..",
            "len": 698
          },
          "image_id": "sha256:ba6ef5..",
          "layers": [
            {
              "source": {
                "media_type": "application/vnd.oci.image.layer.v1.tar+gzip",
                "digest": "sha256:b8c063..",
                "len": 565970
              },
              "compression": "gzip",
              "action": "chunked",
              "result": {
                "media_type": "application/vnd.oci.image.layer.v1.tar+zstd",
                "digest": "sha256:bfc7ee..",
                "len": 564785
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
    error: cannot write `docker-archive:copy.tar`: expected `oci:` or `oci-archive:`
    --- exit 5
    ");
}
