//! Looking at layers and images.

use testkit::tar::sample;

use crate::sandbox::{Sandbox, small_tar, testdata};

#[test]
fn a_layer_with_and_without_its_descriptor() {
    let sandbox = Sandbox::new();
    sandbox.write("layer.tar", sample::rich_tar());
    sandbox.stdout("morsel convert layer.tar layer.zst --descriptor layer.json");
    insta::assert_snapshot!(sandbox.run("morsel inspect layer.zst"), @"
    $ morsel inspect layer.zst
    layer.zst: zstd:chunked (containers/storage 1.54 or newer)
      blob      11.8 KiB
      entries   28: 1 block, 1 char, 3 dir, 1 fifo, 1 hardlink, 19 reg, 2 symlink
      files     16 with 25.9 KiB of content
      chunks    24, 5.2 KiB as compressed
      holes     3 chunks with 10.8 KiB of zeros, never fetched
      frames    24 with content; headers and padding take 2.2 KiB
      metadata  4.4 KiB, 37.73 % of the blob
                TOC 2.2 KiB of 7.2 KiB JSON
                tar-split 2.2 KiB of 49.1 KiB JSON
      TOC       sha256:16ea45.., not in a descriptor
      used by
        podman, CRI-O, buildah, skopeo                         in parts    once the descriptor has the annotations; they never look at the footer
        stargz-snapshotter                                     whole       it looks for other annotations and a 40-byte footer
        containerd, Docker 23 or newer, umoci 0.6 or newer     whole       it is a zstd layer to them
        without zstd: Docker before 23, umoci before 0.5       not at all  the layer is zstd
        decoders of a single frame, bootc's composefs backend  not at all  they see the first of many frames and take the tar for truncated
    ");
    insta::assert_snapshot!(sandbox.run("morsel inspect layer.zst --descriptor layer.json"), @"
    $ morsel inspect layer.zst --descriptor layer.json
    layer.zst: zstd:chunked (containers/storage 1.54 or newer)
      blob      11.8 KiB
      entries   28: 1 block, 1 char, 3 dir, 1 fifo, 1 hardlink, 19 reg, 2 symlink
      files     16 with 25.9 KiB of content
      chunks    24, 5.2 KiB as compressed
      holes     3 chunks with 10.8 KiB of zeros, never fetched
      frames    24 with content; headers and padding take 2.2 KiB
      metadata  4.4 KiB, 37.73 % of the blob
                TOC 2.2 KiB of 7.2 KiB JSON
                tar-split 2.2 KiB of 49.1 KiB JSON
      TOC       sha256:16ea45.., as the descriptor says
      used by
        podman, CRI-O, buildah, skopeo                         in parts    where `enable_partial_images` is on, which it is not by default
        stargz-snapshotter                                     whole       it looks for other annotations and a 40-byte footer
        containerd, Docker 23 or newer, umoci 0.6 or newer     whole       it is a zstd layer to them
        without zstd: Docker before 23, umoci before 0.5       not at all  the layer is zstd
        decoders of a single frame, bootc's composefs backend  not at all  they see the first of many frames and take the tar for truncated
    ");
    insta::assert_snapshot!(sandbox.run_with("morsel inspect - --descriptor layer.json --json", "layer.zst"), @r#"
    $ morsel inspect - --descriptor layer.json --json
    {
      "format": "chunked",
      "toc_digest": "sha256:16ea45..",
      "is_vouched_for": true,
      "dialect": "current",
      "blob_len": 12071,
      "entries": {
        "block": {
          "count": 1,
          "len": 0,
          "blob_len": 0
        },
        "char": {
          "count": 1,
          "len": 0,
          "blob_len": 0
        },
        "dir": {
          "count": 3,
          "len": 0,
          "blob_len": 0
        },
        "fifo": {
          "count": 1,
          "len": 0,
          "blob_len": 0
        },
        "hardlink": {
          "count": 1,
          "len": 0,
          "blob_len": 0
        },
        "reg": {
          "count": 19,
          "len": 26488,
          "blob_len": 5274
        },
        "symlink": {
          "count": 2,
          "len": 0,
          "blob_len": 0
        }
      },
      "files": {
        "count": 16,
        "len": 26488,
        "blob_len": 5274
      },
      "chunks": {
        "count": 24,
        "len": 26488,
        "blob_len": 5274
      },
      "zeros": {
        "count": 3,
        "len": 11024,
        "blob_len": 57
      },
      "data_frames": 24,
      "data_blob_len": 5274,
      "headers_blob_len": 2242,
      "metadata": {
        "toc_blob_len": 2212,
        "toc_len": 7325,
        "tar_split_blob_len": 2255,
        "tar_split_len": 50263,
        "blob_len": 4555,
        "percent": 37.73
      },
      "clients": [
        {
          "name": "podman, CRI-O, buildah, skopeo",
          "can": "partial",
          "reason": "where `enable_partial_images` is on, which it is not by default"
        },
        {
          "name": "stargz-snapshotter",
          "can": "whole",
          "reason": "it looks for other annotations and a 40-byte footer"
        },
        {
          "name": "containerd, Docker 23 or newer, umoci 0.6 or newer",
          "can": "whole",
          "reason": "it is a zstd layer to them"
        },
        {
          "name": "without zstd: Docker before 23, umoci before 0.5",
          "can": "fails",
          "reason": "the layer is zstd"
        },
        {
          "name": "decoders of a single frame, bootc's composefs backend",
          "can": "fails",
          "reason": "they see the first of many frames and take the tar for truncated"
        }
      ]
    }
    "#);
}

#[test]
fn a_toc() {
    let sandbox = Sandbox::new();
    sandbox.write("layer.tar", sample::rich_tar());
    sandbox.stdout("morsel convert layer.tar layer.zst");
    insta::assert_snapshot!(sandbox.run("morsel inspect layer.zst --toc"), @r#"
    $ morsel inspect layer.zst --toc
    drwxr-xr-x 0/0                0     - 1970-01-01 00:00:00 ./
    drwxr-xr-x 0/0                0     - 2023-11-14 22:13:20 ./etc/
    -rw-r--r-- 0/0                4     1 2023-11-14 22:13:20 ./etc/hostname
    -rw-r--r-- 0/0                0     - 1970-01-01 00:00:00 ./etc/empty
    -rw-r--r-- 0/0                0     - 1970-01-01 00:00:00 ./etc/.wh.gone
    drwxr-xr-x 0/0                0     - 1970-01-01 00:00:00 ./etc/opaque/
    -rw-r--r-- 0/0                0     - 1970-01-01 00:00:00 ./etc/opaque/.wh..wh..opq
    -rwsr-xr-x 1000/100         700     1 1970-01-01 00:00:00 ./etc/note
    hrw-r--r-- 1000/100           0     - 1970-01-01 00:00:00 ./etc/note.link link to ./etc/note
    lrwxrwxrwx 0/0                0     - 1970-01-01 00:00:00 ./etc/note.sym -> ../etc/note
    -rw-r--r-- 0/0               11     1 1970-01-01 00:00:00 ./etc/attributes
    -rw-r--r-- 0/0                6     1 1970-01-01 00:00:00 ./etc/times
    -rw-r--r-- 0/0                4     1 1969-12-31 23:59:59 ./etc/old
    -rw-r--r-- 0/0                8     1 1970-01-01 00:00:00 ./etc/<&>"é \
    crw-rw-rw- 0/0              1,3     - 1970-01-01 00:00:00 ./dev/null
    brw-rw---- 0/6              7,0     - 1970-01-01 00:00:00 ./dev/loop0
    prw------- 0/0                0     - 1970-01-01 00:00:00 ./run/pipe
    -rw-r--r-- 0/0             9692     4 1970-01-01 00:00:00 ./data/chunked
    -rw-r--r-- 0/0             1828     2 1970-01-01 00:00:00 ./data/ends-in-cut
    -rw-r--r-- 0/0             7063     4 1970-01-01 00:00:00 ./data/holes
    -rw-r--r-- 0/0             2048     1 1970-01-01 00:00:00 ./data/zeros
    -rw-r--r-- 0/0             5100     2 1970-01-01 00:00:00 ./data/ends-in-hole
    -rw-r--r-- 2147483648/2097153          1     1 1970-01-01 00:00:00 ./data/big-owner
    -rw-r--r-- 0/0                4     1 1970-01-01 00:00:00 ./long-name/long-name/long-name/long-name/long-name/long-name/long-name/long-name/long-name/long-name/long-name/long-name/long-name/long-name/pax
    -rw-r--r-- 0/0                4     1 1970-01-01 00:00:00 ./long-name/long-name/long-name/long-name/long-name/long-name/long-name/long-name/long-name/long-name/long-name/long-name/long-name/long-name/gnu
    -rw-r--r-- 0/0                6     1 1970-01-01 00:00:00 ./long-name/long-name/long-name/long-name/long-name/long-name/long-name/long-name/long-name/long-name/long-name/long-name/long-name/long-name/ustar
    lrwxrwxrwx 0/0                0     - 1970-01-01 00:00:00 ./long-link -> target/target/target/target/target/target/target/target/target/target/target/target/target/target/target/target/target/target/target/target/target/target/target/target/target/target/target/target/target/target/
    -rw-r--r-- 0/0                9     1 2514-05-30 01:53:04 ./base256
    "#);
    sandbox.write("layer.tar", small_tar());
    sandbox.stdout("morsel convert layer.tar layer.zst");
    insta::assert_snapshot!(sandbox.run("morsel inspect layer.zst --toc --json"), @r#"
    $ morsel inspect layer.zst --toc --json
    {"version":1,"entries":[{"type":"dir","name":"etc/","mode":493,"modtime":"1970-01-01T00:00:00Z"},{"type":"reg","name":"etc/hostname","mode":420,"size":4,"modtime":"2023-11-14T22:13:20Z","digest":"sha256:9d8f48..","offset":123,"endOffset":136},{"type":"reg","name":"etc/note","mode":416,"size":5000,"uid":1000,"gid":100,"modtime":"1970-01-01T00:00:00Z","digest":"sha256:03058a..","offset":231,"endOffset":1759},{"type":"symlink","name":"etc/link","linkName":"note","mode":511,"modtime":"1970-01-01T00:00:00Z"}],"tarSplitDigest":"sha256:3fe3d0.."}
    "#);
}

#[test]
fn layers_of_other_tools() {
    let tools = [
        "skopeo-1.9.3",
        "skopeo-1.18.0",
        "skopeo-1.22.0",
        "ctr-remote-0.14.3-zstdchunked",
        "ctr-remote-0.14.3-estargz",
    ];
    let sandbox = Sandbox::new();
    let said = tools.map(|tool| {
        std::os::unix::fs::symlink(testdata(tool), sandbox.path(tool)).unwrap();
        sandbox.run(&format!("morsel inspect ./{tool}/blob --descriptor {tool}/descriptor.json"))
    });
    insta::assert_snapshot!(said.join("\n"), @"
    $ morsel inspect ./skopeo-1.9.3/blob --descriptor skopeo-1.9.3/descriptor.json
    ./skopeo-1.9.3/blob: zstd:chunked without tar-split (containers/storage up to 1.46)
      blob      9.5 KiB
      entries   28: 1 block, 1 char, 3 dir, 1 fifo, 1 hardlink, 19 reg, 2 symlink
      files     16 with 25.9 KiB of content
      chunks    24, 5.2 KiB as compressed
      holes     3 chunks with 10.8 KiB of zeros, never fetched
      frames    24 with content; headers and padding take 2.2 KiB
      metadata  2.1 KiB, 22.24 % of the blob
                TOC 2.1 KiB of 9.0 KiB JSON
      TOC       sha256:2e1dce.., as the descriptor says
      used by
        podman, CRI-O, buildah, skopeo                         whole       they no longer look at annotations with the old prefix
        stargz-snapshotter                                     whole       the descriptor has no digest of the plain TOC
        containerd, Docker 23 or newer, umoci 0.6 or newer     whole       a zstd layer to them; writers of that time may have dropped the tar's last zeros, and with them its DiffID
        without zstd: Docker before 23, umoci before 0.5       not at all  the layer is zstd
        decoders of a single frame, bootc's composefs backend  not at all  they see the first of many frames and take the tar for truncated

    $ morsel inspect ./skopeo-1.18.0/blob --descriptor skopeo-1.18.0/descriptor.json
    ./skopeo-1.18.0/blob: zstd:chunked (containers/storage 1.54 or newer)
      blob      11.7 KiB
      entries   28: 1 block, 1 char, 3 dir, 1 fifo, 1 hardlink, 19 reg, 2 symlink
      files     16 with 25.9 KiB of content
      chunks    24, 5.1 KiB as compressed
      holes     3 chunks with 10.8 KiB of zeros, never fetched
      frames    24 with content; headers and padding take 2.2 KiB
      metadata  4.5 KiB, 38.06 % of the blob
                TOC 2.1 KiB of 7.2 KiB JSON
                tar-split 2.3 KiB of 49.1 KiB JSON
      TOC       sha256:ba6414.., as the descriptor says
      used by
        podman, CRI-O, buildah, skopeo                         in parts    where `enable_partial_images` is on, which it is not by default
        stargz-snapshotter                                     whole       it looks for other annotations and a 40-byte footer
        containerd, Docker 23 or newer, umoci 0.6 or newer     whole       it is a zstd layer to them
        without zstd: Docker before 23, umoci before 0.5       not at all  the layer is zstd
        decoders of a single frame, bootc's composefs backend  not at all  they see the first of many frames and take the tar for truncated

    $ morsel inspect ./skopeo-1.22.0/blob --descriptor skopeo-1.22.0/descriptor.json
    ./skopeo-1.22.0/blob: zstd:chunked (containers/storage 1.54 or newer)
      blob      11.7 KiB
      entries   28: 1 block, 1 char, 3 dir, 1 fifo, 1 hardlink, 19 reg, 2 symlink
      files     16 with 25.9 KiB of content
      chunks    24, 5.1 KiB as compressed
      holes     3 chunks with 10.8 KiB of zeros, never fetched
      frames    24 with content; headers and padding take 2.2 KiB
      metadata  4.5 KiB, 38.05 % of the blob
                TOC 2.1 KiB of 7.2 KiB JSON
                tar-split 2.3 KiB of 49.1 KiB JSON
      TOC       sha256:5bf488.., as the descriptor says
      used by
        podman, CRI-O, buildah, skopeo                         in parts    where `enable_partial_images` is on, which it is not by default
        stargz-snapshotter                                     whole       it looks for other annotations and a 40-byte footer
        containerd, Docker 23 or newer, umoci 0.6 or newer     whole       it is a zstd layer to them
        without zstd: Docker before 23, umoci before 0.5       not at all  the layer is zstd
        decoders of a single frame, bootc's composefs backend  not at all  they see the first of many frames and take the tar for truncated

    $ morsel inspect ./ctr-remote-0.14.3-zstdchunked/blob --descriptor ctr-remote-0.14.3-zstdchunked/descriptor.json
    ./ctr-remote-0.14.3-zstdchunked/blob: zstd:chunked of stargz-snapshotter
      blob      9.4 KiB
      entries   29: 1 block, 1 char, 3 dir, 1 fifo, 1 hardlink, 20 reg, 2 symlink
      files     17 with 25.9 KiB of content
      chunks    21, 7.3 KiB as compressed
      frames    21 with content; headers and padding take 97 B
      metadata  2.0 KiB, 21.55 % of the blob
                TOC 2.0 KiB of 7.9 KiB JSON
      TOC       sha256:33a2e4.., as the descriptor says
      used by
        podman, CRI-O, buildah, skopeo                         whole       they take it for eStargz, whose tar they cannot verify in parts
        stargz-snapshotter                                     in parts    its own dialect
        containerd, Docker 23 or newer, umoci 0.6 or newer     whole       it is a zstd layer to them
        without zstd: Docker before 23, umoci before 0.5       not at all  the layer is zstd
        decoders of a single frame, bootc's composefs backend  not at all  they see the first of many frames and take the tar for truncated

    $ morsel inspect ./ctr-remote-0.14.3-estargz/blob --descriptor ctr-remote-0.14.3-estargz/descriptor.json
    ./ctr-remote-0.14.3-estargz/blob: eStargz
      blob      9.2 KiB
      entries   29: 1 block, 1 char, 3 dir, 1 fifo, 1 hardlink, 20 reg, 2 symlink
      files     17 with 25.9 KiB of content
      chunks    21, 7.1 KiB as compressed
      frames    21 with content; headers and padding take 87 B
      metadata  2.0 KiB, 21.73 % of the blob
                TOC 2.0 KiB of 7.9 KiB JSON
      TOC       sha256:167496.., as the descriptor says
      used by
        podman, CRI-O, buildah, skopeo                         whole       they take it for eStargz, whose tar they cannot verify in parts
        stargz-snapshotter                                     in parts    its own dialect
        containerd, Docker 23 or newer, umoci 0.6 or newer     whole       it is a gzip layer to them
        without zstd: Docker before 23, umoci before 0.5       whole       the layer is not zstd
        decoders of a single frame, bootc's composefs backend  not at all  they see the first of many frames and take the tar for truncated
    ");
}

#[test]
fn layers_without_a_toc() {
    let sandbox = Sandbox::new();
    sandbox.write("layer.tar", small_tar());
    sandbox.write("empty.tar", "");
    sandbox.stdout("morsel convert empty.tar empty.zst");
    let lines = [
        "morsel inspect layer.tar",
        "morsel inspect empty.tar",
        "morsel inspect empty.zst",
        "morsel inspect layer.tar --toc",
        "morsel inspect layer.tar --platform linux/amd64",
        "morsel inspect missing.tar",
    ];
    insta::assert_snapshot!(lines.map(|line| sandbox.run(line)).join("\n"), @"
    $ morsel inspect layer.tar
    layer.tar: uncompressed, not chunked
      blob      8.5 KiB
      why       neither annotations nor a footer tell of a TOC
      used by
        podman, CRI-O, buildah, skopeo                         whole  it has no TOC
        stargz-snapshotter                                     whole  it has no TOC
        containerd, Docker 23 or newer, umoci 0.6 or newer     whole  every client can
        without zstd: Docker before 23, umoci before 0.5       whole  the layer is not zstd
        decoders of a single frame, bootc's composefs backend  whole  it is not zstd

    $ morsel inspect empty.tar
    empty.tar: uncompressed, not chunked
      blob      0 B
      why       neither annotations nor a footer tell of a TOC
      used by
        podman, CRI-O, buildah, skopeo                         whole  it has no TOC
        stargz-snapshotter                                     whole  it has no TOC
        containerd, Docker 23 or newer, umoci 0.6 or newer     whole  every client can
        without zstd: Docker before 23, umoci before 0.5       whole  the layer is not zstd
        decoders of a single frame, bootc's composefs backend  whole  it is not zstd

    $ morsel inspect empty.zst
    empty.zst: zstd, not chunked
      blob      9 B
      why       neither annotations nor a footer tell of a TOC
      used by
        podman, CRI-O, buildah, skopeo                         whole       it has no TOC
        stargz-snapshotter                                     whole       it has no TOC
        containerd, Docker 23 or newer, umoci 0.6 or newer     whole       it is a zstd layer to them
        without zstd: Docker before 23, umoci before 0.5       not at all  the layer is zstd
        decoders of a single frame, bootc's composefs backend  whole       only if it is a single frame, which was not checked

    $ morsel inspect layer.tar --toc
    --- stderr
    error: cannot inspect `layer.tar`
      cause: it has no TOC that can be used: neither annotations nor a footer tell of a TOC
    --- exit 5

    $ morsel inspect layer.tar --platform linux/amd64
    --- stderr
    error: `--platform` is for images, and `layer.tar` a single layer
    --- exit 2

    $ morsel inspect missing.tar
    --- stderr
    error: cannot read `missing.tar`
      cause: no such file or directory
    --- exit 4
    ");
}

#[test]
fn an_image() {
    let sandbox = Sandbox::new();
    std::os::unix::fs::symlink(testdata("image"), sandbox.path("image")).unwrap();
    sandbox.stdout("morsel convert oci:image oci:both:x --add");
    insta::assert_snapshot!(sandbox.run("morsel inspect oci:both:x"), @"
    $ morsel inspect oci:both:x
    oci:both:x
    linux/amd64 sha256:071cdd..
      image ID sha256:ba6ef5..
      layer              blob  entries  chunks  metadata  format
      b8c063c9483c  552.7 KiB        -       -         -  gzip
      used by
        podman, CRI-O, buildah, skopeo                         whole  it has no TOC
        stargz-snapshotter                                     whole  it has no TOC
        containerd, Docker 23 or newer, umoci 0.6 or newer     whole  every client can
        without zstd: Docker before 23, umoci before 0.5       whole  the layer is not zstd
        decoders of a single frame, bootc's composefs backend  whole  it is not zstd
    linux/amd64 sha256:7f1bd5..
      image ID sha256:ba6ef5..
      layer              blob  entries  chunks  metadata  format
      bfc7eedda196  551.5 KiB       47     133    1.73 %  zstd:chunked (containers/storage 1.54 or newer)
      used by
        podman, CRI-O, buildah, skopeo                         in parts    where `enable_partial_images` is on, which it is not by default
        stargz-snapshotter                                     whole       it looks for other annotations and a 40-byte footer
        containerd, Docker 23 or newer, umoci 0.6 or newer     whole       it is a zstd layer to them
        without zstd: Docker before 23, umoci before 0.5       not at all  the layer is zstd
        decoders of a single frame, bootc's composefs backend  not at all  they see the first of many frames and take the tar for truncated
    ");
    let listed = sandbox.run("morsel inspect oci:both:x --toc");
    insta::assert_snapshot!(listed.lines().take(5).collect::<Vec<_>>().join("\n"), @"
    $ morsel inspect oci:both:x --toc
    layer sha256:b8c063..: neither annotations nor a footer tell of a TOC
    layer sha256:bfc7ee..
    drwxr-xr-x 0/0                0     - 2023-01-28 18:17:20 ./
    drwxr-xr-x 0/0                0     - 2023-01-28 18:17:20 ./etc/
    ");
    let tocs = sandbox.stdout("morsel inspect oci:both:x --toc --json");
    assert_eq!(tocs.iter().filter(|byte| **byte == b'\n').count(), 1, "a line for each layer with a TOC");
}
