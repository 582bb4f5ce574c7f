//! Input that is damaged, hostile, or empty: each has its documented outcome.

use testkit::data;
use testkit::oci::gzip;
use testkit::tar::{Member, Tar, deep_path};

use crate::sandbox::{Sandbox, small_tar};

/// Converts `bytes`, and returns how it ended and the warning or error.
fn convert(bytes: &[u8]) -> String {
    let sandbox = Sandbox::new();
    sandbox.write("layer.tar", bytes);
    let output = sandbox.output("morsel convert layer.tar layer.zst");
    let said = String::from_utf8_lossy(&output.stderr);
    let told = ["error:", "warning:", "  cause:", "hint:"];
    let lines: Vec<_> =
        said.lines().filter(|line| told.iter().any(|start| line.starts_with(start))).collect();
    let written = sandbox.path("layer.zst").exists();
    assert_eq!(written, output.status.success(), "a blob is there exactly when all went well");
    if written {
        let diff_id = testkit::oci::digest(bytes);
        let verified = sandbox.output(&format!("morsel verify layer.zst --diff-id {diff_id} --json"));
        let report = String::from_utf8_lossy(&verified.stdout).into_owned();
        assert!(report.contains("\"name\": \"diff-id\",\n      \"outcome\": \"passed\""), "{report}");
    }
    format!("exit {}\n{}", output.status.code().unwrap(), lines.join("\n"))
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let sandbox = Sandbox::new();
    sandbox.write("layer.tar", bytes);
    sandbox.stdout("morsel convert layer.tar layer.zst");
    sandbox.read("layer.zst")
}

#[test]
fn truncated_gzip() {
    let whole = gzip(&small_tar());
    insta::assert_snapshot!(convert(&whole[..whole.len() / 2]), @"
    exit 3
    error: cannot convert `layer.tar`
      cause: cannot read the layer
      cause: incomplete deflate stream
    hint: compare the digest of the input with the one it should have
    ");
    insta::assert_snapshot!(convert(&whole[..whole.len() - 4]), @"
    exit 3
    error: cannot convert `layer.tar`
      cause: cannot read the layer
      cause: unexpected end of file
    hint: compare the digest of the input with the one it should have
    ");
}

#[test]
fn corrupt_gzip() {
    let mut bytes = gzip(&small_tar());
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    insta::assert_snapshot!(convert(&bytes), @"
    exit 3
    error: cannot convert `layer.tar`
      cause: cannot read the layer
      cause: corrupt gzip stream does not have a matching checksum
    hint: compare the digest of the input with the one it should have
    ");
}

#[test]
fn junk_after_gzip() {
    insta::assert_snapshot!(convert(&[gzip(&small_tar()), b"junk".repeat(10)].concat()), @"
    exit 3
    error: cannot convert `layer.tar`
      cause: cannot read the layer
      cause: invalid gzip header
    hint: compare the digest of the input with the one it should have
    ");
}

#[test]
fn corrupt_zstd() {
    let mut bytes = zstd(&small_tar());
    bytes[40] ^= 0xff;
    insta::assert_snapshot!(convert(&bytes), @"
    exit 3
    error: cannot convert `layer.tar`
      cause: cannot read the layer
      cause: Data corruption detected
    hint: compare the digest of the input with the one it should have
    ");
}

#[test]
fn truncated_zstd() {
    let bytes = zstd(&small_tar());
    insta::assert_snapshot!(convert(&bytes[..100]), @"
    exit 3
    error: cannot convert `layer.tar`
      cause: cannot read the layer
      cause: zstd stream ends inside a frame
    hint: compare the digest of the input with the one it should have
    ");
}

#[test]
fn junk_after_zstd() {
    insta::assert_snapshot!(convert(&[zstd(&small_tar()), b"junk".repeat(10)].concat()), @"
    exit 3
    error: cannot convert `layer.tar`
      cause: cannot read the layer
      cause: Unknown frame descriptor
    hint: compare the digest of the input with the one it should have
    ");
}

#[test]
fn garbage() {
    insta::assert_snapshot!(convert(&data::stream(7, 10_000)), @"
    exit 0
    warning: this is not zstd:chunked: the tar is damaged at byte 0: tar header has no valid number in its field `chksum`
    ");
}

#[test]
fn nothing_at_all() {
    insta::assert_snapshot!(convert(b""), @"
    exit 0
    warning: this is not zstd:chunked: the tar has no entries
    ");
}

#[test]
fn nothing_at_all_still_is_zstd() {
    assert_eq!(zstd(b""), [0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0], "one frame that holds nothing");
}

#[test]
fn an_empty_tar() {
    insta::assert_snapshot!(convert(&Tar::new().finish()), @"
    exit 0
    warning: this is not zstd:chunked: the tar has no entries
    ");
}

#[test]
fn a_tar_with_a_lying_size() {
    let lying = Tar::new().member(Member::file("a", "short").claimed_len(1 << 40)).finish();
    insta::assert_snapshot!(convert(&lying), @"
    exit 0
    warning: this is not zstd:chunked: the tar is truncated inside `a`
    ");
    let negative = Tar::new().member(Member::file("a", "short").claimed_len(-1)).finish();
    insta::assert_snapshot!(convert(&negative), @"
    exit 0
    warning: this is not zstd:chunked: the tar is damaged at byte 0: tar header has no valid number in its field `size`
    ");
}

#[test]
fn a_truncated_tar() {
    let tar = small_tar();
    insta::assert_snapshot!(convert(&tar[..700]), @"
    exit 0
    warning: this is not zstd:chunked: the tar is truncated after byte 512
    ");
    insta::assert_snapshot!(convert(&tar[..3000]), @"
    exit 0
    warning: this is not zstd:chunked: the tar is truncated inside `etc/note`
    ");
}

#[test]
fn names_that_lead_out() {
    let tar = Tar::new().file("../../etc/passwd", "x").file("/etc/shadow", "x").finish();
    insta::assert_snapshot!(convert(&tar), @"
    exit 0
    warning: this is not zstd:chunked: `../../etc/passwd` has `..` in its name
    ");
}

#[test]
fn names_that_come_twice() {
    insta::assert_snapshot!(convert(&Tar::new().file("a", "1").file("./a", "2").finish()), @"
    exit 0
    warning: this is not zstd:chunked: `./a` is in the tar twice
    ");
}

#[test]
fn names_that_control_terminals() {
    insta::assert_snapshot!(convert(&Tar::new().file("\u{1b}[2Ja", "1").file("\u{1b}[2Ja", "2").finish()), @"
    exit 0
    warning: this is not zstd:chunked: `�[2Ja` is in the tar twice
    ");
}

#[test]
fn names_that_are_no_text() {
    insta::assert_snapshot!(convert(&Tar::new().file([b'a', 0xff], "1").finish()), @r"
    exit 0
    warning: this is not zstd:chunked: the name of `a\xff` is not UTF-8
    ");
}

#[test]
fn a_path_of_100_000_folders() {
    insta::assert_snapshot!(convert(&Tar::new().file(deep_path(100_000), "x").finish()), @"
    exit 0
    warning: this is not zstd:chunked: the name of `d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/...` is 199999 bytes long, more than 4095
    ");
}

#[test]
fn junk_after_the_end_of_the_tar() {
    insta::assert_snapshot!(convert(&Tar::new().file("a", "1").finish_with(data::stream(1, 5000))), @"
    exit 0
    warning: this is not zstd:chunked: the tar goes on after its end, at byte 2048
    ");
}

#[test]
fn global_headers() {
    let tar = Tar::new().member(Member::pax_global([("comment", "x")])).file("a", "1").finish();
    insta::assert_snapshot!(convert(&tar), @"
    exit 0
    warning: this is not zstd:chunked: the tar has a pax global header
    ");
}

#[test]
fn annotations_that_lie() {
    let sandbox = Sandbox::new();
    sandbox.write("layer.tar", small_tar());
    sandbox.stdout("morsel convert layer.tar layer.zst --descriptor layer.json");
    let known = String::from_utf8(sandbox.read("layer.json")).unwrap();
    let position = known.lines().find(|line| line.contains("manifest-position")).unwrap();
    let numbers: Vec<_> = position.split('"').nth(3).unwrap().split(':').collect();
    let [offset, blob_len, len, kind] = numbers[..] else { panic!("{position}") };
    let lies = [
        ("grammar", format!("{offset}:{blob_len}:{len}")),
        ("kind", format!("{offset}:{blob_len}:{len}:2")),
        ("10 GiB of JSON", format!("{offset}:{blob_len}:10737418240:{kind}")),
        ("10 GiB of blob", format!("{offset}:10737418240:{len}:{kind}")),
        ("place", format!("9:{blob_len}:{len}:{kind}")),
    ];
    let said = lies.map(|(what, numbers)| {
        let lie = position.replace(position.split('"').nth(3).unwrap(), &numbers);
        sandbox.write("lie.json", known.replace(position, &lie));
        let inspect = sandbox.run("morsel inspect layer.zst --descriptor lie.json");
        let verify = sandbox.run("morsel verify layer.zst --descriptor lie.json");
        format!("== {what}\n{inspect}{verify}")
    });
    insta::assert_snapshot!(said.join("\n"), @"
    == grammar
    $ morsel inspect layer.zst --descriptor lie.json
    layer.zst: zstd, not chunked
      blob      2.7 KiB
      why       annotation `io.github.containers.zstd-chunked.manifest-position` is `1860:378:713`, expected `offset:length:uncompressed length:type`
      used by
        podman, CRI-O, buildah, skopeo                         whole       it has no TOC
        stargz-snapshotter                                     whole       it has no TOC
        containerd, Docker 23 or newer, umoci 0.6 or newer     whole       it is a zstd layer to them
        without zstd: Docker before 23, umoci before 0.5       not at all  the layer is zstd
        decoders of a single frame, bootc's composefs backend  whole       only if it is a single frame, which was not checked
    $ morsel verify layer.zst --descriptor lie.json
    --- stderr
    error: cannot verify `layer.zst`
      cause: annotation `io.github.containers.zstd-chunked.manifest-position` is `1860:378:713`, expected `offset:length:uncompressed length:type`
    hint: compare the digest of the input with the one it should have
    --- exit 3

    == kind
    $ morsel inspect layer.zst --descriptor lie.json
    layer.zst: zstd, not chunked
      blob      2.7 KiB
      why       annotation `io.github.containers.zstd-chunked.manifest-position` names a TOC of type 2, expected 1
      used by
        podman, CRI-O, buildah, skopeo                         whole       it has no TOC
        stargz-snapshotter                                     whole       it has no TOC
        containerd, Docker 23 or newer, umoci 0.6 or newer     whole       it is a zstd layer to them
        without zstd: Docker before 23, umoci before 0.5       not at all  the layer is zstd
        decoders of a single frame, bootc's composefs backend  whole       only if it is a single frame, which was not checked
    $ morsel verify layer.zst --descriptor lie.json
    --- stderr
    error: cannot verify `layer.zst`
      cause: annotation `io.github.containers.zstd-chunked.manifest-position` names a TOC of type 2, expected 1
    hint: compare the digest of the input with the one it should have
    --- exit 3

    == 10 GiB of JSON
    $ morsel inspect layer.zst --descriptor lie.json
    layer.zst: zstd, not chunked
      blob      2.7 KiB
      why       the TOC takes 10737418240 bytes, the limit is 1073741824
      used by
        podman, CRI-O, buildah, skopeo                         whole       it has no TOC
        stargz-snapshotter                                     whole       it has no TOC
        containerd, Docker 23 or newer, umoci 0.6 or newer     whole       it is a zstd layer to them
        without zstd: Docker before 23, umoci before 0.5       not at all  the layer is zstd
        decoders of a single frame, bootc's composefs backend  whole       only if it is a single frame, which was not checked
    $ morsel verify layer.zst --descriptor lie.json
    layer.zst: damaged
      no TOC
      blob 2.7 KiB, tar 8.5 KiB, 4 members
      blob digest  passed  sha256:16e0db..
      frames       passed  5 frames
      tar          passed  4 members, 8704 bytes
      diff ID      passed  sha256:223cf5..
      TOC          failed  annotations and footer place the metadata differently
      TOC digest   -       the TOC cannot be read
    --- exit 3

    == 10 GiB of blob
    $ morsel inspect layer.zst --descriptor lie.json
    --- stderr
    error: cannot inspect `layer.zst`
      cause: the annotations are wrong: the TOC is placed at bytes 1860..10737420100 of the blob, expected within 8..2765
    hint: compare the digest of the input with the one it should have
    --- exit 3
    $ morsel verify layer.zst --descriptor lie.json
    layer.zst: damaged
      no TOC
      blob 2.7 KiB, tar 8.5 KiB, 4 members
      blob digest  passed  sha256:16e0db..
      frames       passed  5 frames
      tar          passed  4 members, 8704 bytes
      diff ID      passed  sha256:223cf5..
      TOC          failed  the annotations place the metadata beyond the end of the blob
      TOC digest   -       the TOC cannot be read
    --- exit 3

    == place
    $ morsel inspect layer.zst --descriptor lie.json
    --- stderr
    error: cannot inspect `layer.zst`
      cause: digest of the TOC is sha256:37a8f2.., expected sha256:d2d178..
    hint: compare the digest of the input with the one it should have
    --- exit 3
    $ morsel verify layer.zst --descriptor lie.json
    layer.zst: damaged
      no TOC
      blob 2.7 KiB, tar 8.5 KiB, 4 members
      blob digest  passed  sha256:16e0db..
      frames       passed  5 frames
      tar          passed  4 members, 8704 bytes
      diff ID      passed  sha256:223cf5..
      TOC          failed  annotations and footer place the metadata differently
      TOC digest   -       the TOC cannot be read
    --- exit 3
    ");
}
