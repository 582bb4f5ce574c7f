//! Converting one layer.

use testkit::oci::gzip;

use crate::sandbox::{Sandbox, small_tar};

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("layer.tar", small_tar());
    sandbox.write("layer.tar.gz", gzip(&small_tar()));
    sandbox
}

#[test]
fn a_file_to_a_file() {
    insta::assert_snapshot!(sandbox().run("morsel convert layer.tar.gz layer.zst --jobs 2"), @r#"
    $ morsel convert layer.tar.gz layer.zst --jobs 2
    {
      "descriptor": {
        "mediaType": "application/vnd.oci.image.layer.v1.tar+zstd",
        "digest": "sha256:16e0db..",
        "size": 2765,
        "annotations": {
          "io.github.containers.zstd-chunked.manifest-checksum": "sha256:d2d178..",
          "io.github.containers.zstd-chunked.manifest-position": "1860:378:713:1",
          "io.github.containers.zstd-chunked.tarsplit-position": "2246:447:5394"
        }
      },
      "diff_id": "sha256:223cf5.."
    }
    --- stderr
    layer.tar.gz -> layer.zst
      format      zstd:chunked
      read        1.6 KiB, gzip
      written     2.7 KiB, 166.8 % of what was read
      tar         8.5 KiB, 4 entries, 2 files
      chunks      2 in 5 frames
      metadata    913 B, 33.0 % of the blob
      self-check  passed, every frame decodes to what was read
      time        [time]
      effort     level 3, 2 jobs, [memory]
      digest      sha256:16e0db..
      diff ID     sha256:223cf5..
    "#);
}

#[test]
fn a_layer_in_a_pipe() {
    let sandbox = sandbox();
    sandbox.stdout("morsel convert layer.tar layer.zst --descriptor layer.json");
    let input = std::fs::File::open(sandbox.path("layer.tar")).unwrap();
    let piped = sandbox.command("morsel convert - - --quiet").stdin(input).output().unwrap();
    assert_eq!(piped.stdout, sandbox.read("layer.zst"));
    assert_eq!(piped.stderr, sandbox.read("layer.json"), "the descriptor goes where it does no harm");
}

#[test]
fn a_descriptor_in_a_file() {
    let sandbox = sandbox();
    let line = "morsel convert layer.tar layer.zst --descriptor layer.json --quiet";
    insta::assert_snapshot!(sandbox.run(line), @"$ morsel convert layer.tar layer.zst --descriptor layer.json --quiet");
    let printed = sandbox.stdout("morsel convert layer.tar layer.zst --quiet");
    assert_eq!(sandbox.read("layer.json"), printed);
    let to_stdout = sandbox.stdout("morsel convert layer.tar layer.zst --quiet --descriptor -");
    assert_eq!(to_stdout, printed);
}

#[test]
fn a_report_for_programs() {
    insta::assert_snapshot!(sandbox().run("morsel convert layer.tar layer.zst --json --jobs 1 --level 19"), @r#"
    $ morsel convert layer.tar layer.zst --json --jobs 1 --level 19
    {
      "descriptor": {
        "mediaType": "application/vnd.oci.image.layer.v1.tar+zstd",
        "digest": "sha256:6cd712..",
        "size": 2553,
        "annotations": {
          "io.github.containers.zstd-chunked.manifest-checksum": "sha256:3ce50f..",
          "io.github.containers.zstd-chunked.manifest-position": "1647:379:712:1",
          "io.github.containers.zstd-chunked.tarsplit-position": "2034:447:5394"
        }
      },
      "format": "zstd:chunked",
      "toc_digest": "sha256:3ce50f..",
      "tar_split_digest": "sha256:3fe3d0..",
      "blob_digest": "sha256:6cd712..",
      "blob_len": 2553,
      "diff_id": "sha256:223cf5..",
      "tar_len": 8704,
      "source": {
        "compression": "none",
        "digest": "sha256:223cf5..",
        "blob_len": 8704
      },
      "counts": {
        "entries": 4,
        "files": 2,
        "chunks": 2,
        "holes": 0,
        "frames": 5,
        "metadata_blob_len": 914
      },
      "self_check": "on",
      "level": 19,
      "jobs": 1,
      "seconds": [time],
      "peak_memory": [memory]
    }
    "#);
}

#[test]
fn the_self_check_can_be_left_out_and_the_report_says_so() {
    let sandbox = sandbox();
    let report = sandbox.run("morsel convert layer.tar layer.zst --no-verify");
    assert!(report.contains("self-check  off, the blob was not decoded and compared"), "{report}");
    let unchecked = sandbox.read("layer.zst");
    sandbox.stdout("morsel convert layer.tar layer.zst");
    assert_eq!(sandbox.read("layer.zst"), unchecked);
}

#[test]
fn effort_and_memory_do_not_change_the_blob() {
    let sandbox = sandbox();
    sandbox.stdout("morsel convert layer.tar one.zst --jobs 1 --memory 24M");
    sandbox.stdout("morsel convert layer.tar.gz two.zst --jobs 8 --memory 1GiB");
    assert_eq!(sandbox.read("one.zst"), sandbox.read("two.zst"));
}

#[test]
fn wrong_words() {
    let sandbox = sandbox();
    let lines = [
        "morsel convert layer.tar",
        "morsel convert layer.tar layer.zst --level 23",
        "morsel convert layer.tar layer.zst --jobs 0",
        "morsel convert layer.tar layer.zst --memory 1M",
        "morsel convert layer.tar layer.zst --memory lots",
        "morsel convert layer.tar layer.tar",
        "morsel convert layer.tar ./layer.tar",
        "morsel convert layer.tar layer.zst --descriptor layer.zst",
        "morsel convert layer.tar - --descriptor -",
        "morsel convert layer.tar oci:image",
        "morsel convert oci:image layer.zst",
        "morsel convert layer.tar layer.zst --add",
        "morsel convert layer.tar layer.zst --cache dir",
        "morsel convert layer layer.zst",
        "morsel convert dir:image oci:image",
        "morsel convert oci: oci:image",
        "morsel convert oci:image oci:copy --platform linux",
        "morsel convert oci:image oci:copy --platform linux/amd64 --all-platforms",
    ];
    let said: Vec<_> = lines.iter().map(|line| sandbox.run(line)).collect();
    insta::assert_snapshot!(said.join("\n"), @"
    $ morsel convert layer.tar
    --- stderr
    error: the following required arguments were not provided:
      <DST>

    Usage: morsel convert <SRC> <DST>

    For more information, try '--help'.
    --- exit 2

    $ morsel convert layer.tar layer.zst --level 23
    --- stderr
    error: invalid value '23' for '--level <N>': expected a number from 1 to 22

    For more information, try '--help'.
    --- exit 2

    $ morsel convert layer.tar layer.zst --jobs 0
    --- stderr
    error: invalid value '0' for '--jobs <N>': expected a number from 1 to 1024

    For more information, try '--help'.
    --- exit 2

    $ morsel convert layer.tar layer.zst --memory 1M
    --- stderr
    error: invalid value '1M' for '--memory <SIZE>': expected at least 24M

    For more information, try '--help'.
    --- exit 2

    $ morsel convert layer.tar layer.zst --memory lots
    --- stderr
    error: invalid value 'lots' for '--memory <SIZE>': expected a number of bytes such as `64M` or `1G`

    For more information, try '--help'.
    --- exit 2

    $ morsel convert layer.tar layer.tar
    --- stderr
    error: `layer.tar` is both source and destination
    --- exit 2

    $ morsel convert layer.tar ./layer.tar
    --- stderr
    error: `./layer.tar` is both source and destination
    --- exit 2

    $ morsel convert layer.tar layer.zst --descriptor layer.zst
    --- stderr
    error: the result and its descriptor cannot both go to `layer.zst`
    --- exit 2

    $ morsel convert layer.tar - --descriptor -
    --- stderr
    error: the result and its descriptor cannot both go to `-`
    --- exit 2

    $ morsel convert layer.tar oci:image
    --- stderr
    error: `layer.tar` is a layer and `oci:image` an image: a layer is converted to a layer, an image to an image
    --- exit 2

    $ morsel convert oci:image layer.zst
    --- stderr
    error: `oci:image` is an image and `layer.zst` a layer: an image is converted to an image, a layer to a layer
    --- exit 2

    $ morsel convert layer.tar layer.zst --add
    --- stderr
    error: `--add` is for images, and `layer.tar` a single layer
    --- exit 2

    $ morsel convert layer.tar layer.zst --cache dir
    --- stderr
    error: `--cache` is for images, and `layer.tar` a single layer
    --- exit 2

    $ morsel convert layer layer.zst
    --- stderr
    error: `layer` is an image and `layer.zst` a layer: an image is converted to an image, a layer to a layer
    hint: a bare name is an image in a registry; a file of that name is written `./NAME`
    --- exit 2

    $ morsel convert dir:image oci:image
    --- stderr
    error: transport `dir:` is not supported, expected `docker://`, `oci:`, `oci-archive:` or `docker-archive:`
    --- exit 2

    $ morsel convert oci: oci:image
    --- stderr
    error: `oci:` names no path
    --- exit 2

    $ morsel convert oci:image oci:copy --platform linux
    --- stderr
    error: invalid value 'linux' for '--platform <PLATFORM>': platform `linux` is not of the form `os/arch[/variant][,os.version][+feature]`

    For more information, try '--help'.
    --- exit 2

    $ morsel convert oci:image oci:copy --platform linux/amd64 --all-platforms
    --- stderr
    error: the argument '--platform <PLATFORM>' cannot be used with '--all-platforms'

    Usage: morsel convert --platform <PLATFORM> <SRC> <DST>

    For more information, try '--help'.
    --- exit 2
    ");
    assert_eq!(sandbox.names(), ["layer.tar", "layer.tar.gz"]);
}

#[test]
fn places_that_are_not_there() {
    let sandbox = sandbox();
    std::fs::create_dir(sandbox.path("folder.tar")).unwrap();
    std::fs::create_dir(sandbox.path("layout")).unwrap();
    sandbox.write("layout/oci-layout", "{}");
    let lines = [
        "morsel convert missing.tar layer.zst",
        "morsel convert folder.tar layer.zst",
        "morsel convert ./layout layer.zst",
        "morsel convert layer.tar missing/layer.zst",
        "morsel convert layer.tar folder.tar",
        "morsel convert layer.tar layer.zst --descriptor missing/layer.json",
        "morsel convert oci:missing oci:copy",
        "morsel convert oci:folder.tar oci:copy",
        "morsel convert docker-archive:layer.tar oci:copy",
        "morsel convert oci-archive:layer.tar oci:copy",
        "morsel convert oci-archive:missing.tar oci:copy",
    ];
    let said: Vec<_> = lines.iter().map(|line| sandbox.run(line)).collect();
    insta::assert_snapshot!(said.join("\n"), @"
    $ morsel convert missing.tar layer.zst
    --- stderr
    error: cannot read `missing.tar`
      cause: no such file or directory
    --- exit 4

    $ morsel convert folder.tar layer.zst
    --- stderr
    error: cannot read `folder.tar`
      cause: it is a directory, expected a file with one layer
    --- exit 2

    $ morsel convert ./layout layer.zst
    --- stderr
    error: cannot read `./layout`
      cause: it is an OCI layout, expected a file with one layer; an image is written `oci:./layout`
    --- exit 2

    $ morsel convert layer.tar missing/layer.zst
    --- stderr
    error: cannot write `missing/layer.zst`
      cause: cannot open `missing`
      cause: no such file or directory
    --- exit 4

    $ morsel convert layer.tar folder.tar
    --- stderr
    error: cannot write `folder.tar`
      cause: it is a directory, expected a file with one layer
    --- exit 2

    $ morsel convert layer.tar layer.zst --descriptor missing/layer.json
    --- stderr
    error: cannot write `missing/layer.json`
      cause: cannot open `missing`
      cause: no such file or directory
    --- exit 4

    $ morsel convert oci:missing oci:copy
    --- stderr
    error: cannot convert `oci:missing`
      cause: cannot open `missing`
      cause: no such file or directory
    --- exit 4

    $ morsel convert oci:folder.tar oci:copy
    --- stderr
    error: cannot convert `oci:folder.tar`
      cause: `folder.tar` is not an OCI image layout: it has no `oci-layout`
    --- exit 4

    $ morsel convert docker-archive:layer.tar oci:copy
    --- stderr
    error: cannot convert `docker-archive:layer.tar`
      cause: `layer.tar` is not a Docker archive: it has no `manifest.json`
    --- exit 4

    $ morsel convert oci-archive:layer.tar oci:copy
    --- stderr
    error: cannot convert `oci-archive:layer.tar`
      cause: `layer.tar` is not an OCI image layout: it has no `oci-layout`
    --- exit 4

    $ morsel convert oci-archive:missing.tar oci:copy
    --- stderr
    error: cannot convert `oci-archive:missing.tar`
      cause: cannot open `missing.tar`
      cause: no such file or directory
    --- exit 4
    ");
    assert_eq!(sandbox.names(), ["folder.tar", "layer.tar", "layer.tar.gz", "layout"]);
}
