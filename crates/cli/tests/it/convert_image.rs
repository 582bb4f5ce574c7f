//! Converting images.

use crate::sandbox::{Sandbox, testdata};

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    std::os::unix::fs::symlink(testdata("tzdata"), sandbox.path("tzdata")).unwrap();
    sandbox
}

#[test]
fn a_layout_to_a_layout() {
    let sandbox = sandbox();
    insta::assert_snapshot!(sandbox.run("morsel convert oci:tzdata oci:copy:new"), @r#"
    $ morsel convert oci:tzdata oci:copy:new
    {
      "descriptor": {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": "sha256:68bd93..",
        "size": 703
      }
    }
    --- stderr
    oci:tzdata -> oci:copy:new
    linux/amd64 428f49980829: converted; image ID 55aa6933dbdb stays
      layer         became           before      after    ratio    time
      e7c13c6fb0dd  zstd:chunked  415.3 KiB  955.0 KiB  229.9 %  [time]
    self-check  passed, every frame decodes to what was read
    time        [time]
    digest      sha256:68bd93.., before sha256:428f49..
    "#);
    insta::assert_snapshot!(sandbox.run("morsel convert oci:copy:new oci:copy:again --quiet"), @r#"
    $ morsel convert oci:copy:new oci:copy:again --quiet
    {
      "descriptor": {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": "sha256:68bd93..",
        "size": 703
      }
    }
    "#);
}

#[test]
fn an_archive_to_an_archive_with_a_cache() {
    let sandbox = sandbox();
    sandbox.stdout("morsel convert oci:tzdata oci-archive:one.tar --cache cache");
    insta::assert_snapshot!(sandbox.run("morsel convert oci:tzdata oci-archive:two.tar --cache cache --descriptor two.json"), @"
    $ morsel convert oci:tzdata oci-archive:two.tar --cache cache --descriptor two.json
    --- stderr
    oci:tzdata -> oci-archive:two.tar
    linux/amd64 428f49980829: converted; image ID 55aa6933dbdb stays
      layer         became                           before      after    ratio  time
      e7c13c6fb0dd  zstd:chunked, from the cache  415.3 KiB  955.0 KiB  229.9 %     -
    self-check  nothing was converted anew
    time        [time]
    digest      sha256:68bd93.., before sha256:428f49..
    ");
    assert_eq!(sandbox.read("one.tar"), sandbox.read("two.tar"));
    assert_eq!(sandbox.names(), ["cache", "one.tar", "two.json", "two.tar", "tzdata"]);
}

#[test]
fn originals_can_stay_and_a_second_run_changes_nothing() {
    let sandbox = sandbox();
    let first = sandbox.stdout("morsel convert oci:tzdata oci:both:x --add --quiet");
    insta::assert_snapshot!(sandbox.run("morsel convert oci:both:x oci:both:x --add"), @r#"
    $ morsel convert oci:both:x oci:both:x --add
    {
      "descriptor": {
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "digest": "sha256:19ee21..",
        "size": 554
      }
    }
    --- stderr
    oci:both:x -> oci:both:x
    linux/amd64 428f49980829: kept as it is, the index lists the same image as zstd:chunked
    linux/amd64 68bd93ef606a: kept as it is, it is marked as the zstd form of another image
    self-check  nothing was converted anew
    time        [time]
    digest      sha256:19ee21.., as before
    "#);
    assert_eq!(sandbox.stdout("morsel convert oci:both:x oci:both:x --add --quiet"), first);
}

#[test]
fn a_report_for_programs() {
    insta::assert_snapshot!(sandbox().run("morsel convert oci:tzdata oci:copy --json --jobs 2"), @r#"
    $ morsel convert oci:tzdata oci:copy --json --jobs 2
    {
      "descriptor": {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": "sha256:68bd93..",
        "size": 703
      },
      "source": "oci:tzdata",
      "destination": "oci:copy",
      "before": {
        "media_type": "application/vnd.oci.image.manifest.v1+json",
        "digest": "sha256:428f49..",
        "len": 405
      },
      "after": {
        "media_type": "application/vnd.oci.image.manifest.v1+json",
        "digest": "sha256:68bd93..",
        "len": 703
      },
      "self_check": "on",
      "manifests": [
        {
          "source": {
            "media_type": "application/vnd.oci.image.manifest.v1+json",
            "digest": "sha256:428f49..",
            "len": 405
          },
          "platform": "linux/amd64",
          "action": "converted",
          "result": {
            "media_type": "application/vnd.oci.image.manifest.v1+json",
            "digest": "sha256:68bd93..",
            "len": 703
          },
          "image_id": "sha256:55aa69..",
          "layers": [
            {
              "source": {
                "media_type": "application/vnd.oci.image.layer.v1.tar+gzip",
                "digest": "sha256:e7c13c..",
                "len": 425308
              },
              "compression": "gzip",
              "action": "chunked",
              "result": {
                "media_type": "application/vnd.oci.image.layer.v1.tar+zstd",
                "digest": "sha256:8f935f..",
                "len": 977922
              },
              "diff_id": "sha256:160383..",
              "tar_len": 2344960,
              "counts": {
                "entries": 1320,
                "files": 905,
                "chunks": 950,
                "holes": 0,
                "frames": 1856,
                "metadata_blob_len": 123769
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
    insta::assert_snapshot!(sandbox().run("morsel convert oci:tzdata oci:copy --platform linux/s390x"), @"
    $ morsel convert oci:tzdata oci:copy --platform linux/s390x
    --- stderr
    error: cannot convert `oci:tzdata`
      cause: `oci:tzdata` does not list linux/s390x; it lists linux/amd64
    --- exit 4
    ");
    insta::assert_snapshot!(sandbox().run("morsel verify oci:tzdata --platform linux/s390x"), @"
    $ morsel verify oci:tzdata --platform linux/s390x
    --- stderr
    error: cannot verify `oci:tzdata`
      cause: `oci:tzdata` has no image for the platforms asked for; there are: linux/amd64
    --- exit 4
    ");
}

#[test]
fn transports_that_cannot_be_written() {
    insta::assert_snapshot!(sandbox().run("morsel convert oci:tzdata docker-archive:copy.tar"), @"
    $ morsel convert oci:tzdata docker-archive:copy.tar
    --- stderr
    error: cannot write `docker-archive:copy.tar`: expected `oci:` or `oci-archive:`
    --- exit 5
    ");
}
