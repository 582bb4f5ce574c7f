//! What becomes plain zstd, and why: never an error, and always the same tar.

use morsel_chunked::DiffId;
use morsel_chunked::Limits;
use morsel_chunked::convert::{Options, Outcome};
use testkit::data;
use testkit::tar::sample::rich;
use testkit::tar::{Dialect, Member, SparseFormat, Tar, deep_path};

use crate::convert::{converted, options, tar_of};

/// Converts a layer that cannot be chunked and returns the reason given.
fn reason(tar: &[u8], options: &Options) -> String {
    let (blob, report) = converted(tar, options);
    assert!(tar_of(&blob) == tar);
    assert_eq!(report.diff_id, DiffId::of(tar));
    assert!(report.annotations().is_empty());
    assert_eq!(report.counts.metadata_blob_len, 0);
    match report.outcome {
        Outcome::Plain { why } => why.to_string(),
        chunked => panic!("{chunked:?}"),
    }
}

#[test]
fn every_reason_is_named() {
    let after_rich = |member: Member| Tar::new().members(rich()).member(member).file("end", "end").finish();
    let file = || Tar::new().file("a", data::text(1, 3000));
    let cut = |tar: Vec<u8>, end: usize| tar[..end].to_vec();
    let tars = [
        vec![],
        vec![0; 10240],
        b"not a tar at all".to_vec(),
        data::stream(7, 9 << 20),
        after_rich(Member::file("./etc/../etc/hostname", "again")),
        after_rich(Member::pax_global([("comment", "x")])),
        after_rich(Member::sparse("holes", SparseFormat::Gnu, 9000, &[(4096, b"data")])),
        after_rich(Member::sparse("holes", SparseFormat::Pax00, 9000, &[(4096, b"data")])),
        after_rich(Member::file(b"caf\xe9", "x")),
        after_rich(Member::symlink("link", b"caf\xe9").dialect(Dialect::Gnu)),
        after_rich(Member::new(b'7', "contiguous")),
        after_rich(Member::dir("sized/").claimed_len(512)),
        after_rich(Member::file(deep_path(100_000), "x")),
        after_rich(Member::file("future", "x").modified(253_402_300_800, 0)),
        cut(file().finish(), 512 + 1000),
        cut(file().finish(), 512 + 3000),
        cut(Tar::new().file("long", data::stream(1, 3 << 20)).finish(), 2 << 20),
        file().finish_with("more"),
        file().finish_with([0; 100]),
        file().finish_with([vec![0; 3 << 20], data::stream(1, 512)].concat()),
        [file().finish(), Tar::new().file("second", "x").finish()].concat(),
        Tar::new().member(Member::file("a", "x")).member(Member::symlink("a/../b", "x")).finish(),
        after_rich(Member::file("/etc/hostname", "again")),
        after_rich(Member::file("./etc/note.sym/below", "x")),
        after_rich(Member::file("./etc/.wh.note", "")),
        after_rich(Member::file("./etc/.wh.full", "x")),
        after_rich(Member::file("file/", "x")),
        after_rich(Member::file("attribute", "x").pax("SCHILY.xattr.", "v")),
        after_rich(Member::file("attribute", "x").xattr("user.large", vec![b'v'; 70_000])),
        after_rich(Member::file("short", dense(100_000))),
        after_rich(Member::file("long", dense(3 << 20))),
        Tar::new()
            .raw(&Member::file("a", "x").pax("comment", "c".repeat(600)).encode_header()[..1536])
            .finish(),
        Tar::new().member(Member::file("lying", "x").claimed_len(10_000_000_000)).finish(),
        Tar::new()
            .member(Member::file("lying", data::text(1, 2000)).claimed_len(100))
            .file("b", "b")
            .finish(),
    ];
    let reasons: Vec<_> = tars.iter().map(|tar| reason(tar, &options(2))).collect();
    insta::assert_snapshot!(reasons.join("\n"), @r"
    the tar has no entries
    the tar has no entries
    the tar is truncated after byte 0
    the tar is damaged at byte 0: tar header has no valid number in its field `chksum`
    `./etc/../etc/hostname` has `..` in its name
    the tar has a pax global header
    `holes` is stored as a sparse file
    `holes` is stored as a sparse file
    the name of `caf\xe9` is not UTF-8
    the link name of `link` is not UTF-8
    `contiguous` has the tar type `7`, which a TOC cannot express
    `sized/` has no payload but the size 512
    the name of `d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/...` is 199999 bytes long, more than 4095
    `future` has a time outside the years 0 to 9999
    the tar is truncated inside `a`
    the tar is truncated after byte 3512
    the tar is truncated inside `long`
    the tar goes on after its end, at byte 4608
    the tar goes on after its end, at byte 4608
    the tar goes on after its end, at byte 3150336
    the tar goes on after its end, at byte 4608
    `a/../b` has `..` in its name
    `/etc/hostname` is in the tar twice
    `./etc/note.sym/below` lies below something that is not a directory
    `./etc/.wh.note` is in the tar twice
    `./etc/.wh.full` is a whiteout with content
    `file/` is named like a directory and is none
    `attribute` has an extended attribute without a name or larger than the kernel takes
    `attribute` has an extended attribute without a name or larger than the kernel takes
    `short` would be cut into tiny chunks
    `long` would be cut into tiny chunks
    the tar is damaged at byte 0: tar extension header is followed by no member
    the tar is truncated inside `lying`
    the tar is damaged at byte 1024: tar header has no valid number in its field `chksum`
    ");
}

/// Content that splits after nearly every byte: while these 64 bytes go round, the rolling sum keeps its split value.
fn dense(len: usize) -> Vec<u8> {
    let mut period = [129; 64];
    period[..2].copy_from_slice(&[32, 226]);
    period.into_iter().cycle().take(len).collect()
}

#[test]
fn more_rows_than_allowed_are_a_reason_too() {
    let limits = Limits { entries: 20, ..Limits::default() };
    let tar = Tar::new().file("large", data::stream(1, 2 << 20)).finish();
    let reason = reason(&tar, &Options { limits, ..options(2) });
    insta::assert_snapshot!(reason, @"the TOC would have more than 20 rows");
}

#[test]
fn deep_names_without_end_are_a_reason_and_not_kept() {
    let limits = Limits { entries: 1000, ..Limits::default() };
    let deep = |number: u32| format!("{number}/{}f", "d/".repeat(200));
    let tar = (0..10).fold(Tar::new(), |tar, number| tar.file(deep(number), "x")).finish();
    let reason = reason(&tar, &Options { limits, ..options(2) });
    assert!(
        reason.starts_with("`4/d/d/")
            && reason.ends_with("makes more than 1000 paths, with the directories above all members"),
        "{reason}"
    );
}

#[test]
fn more_attributes_than_readers_take_are_a_reason() {
    let named = |name: &str, count: u32| {
        (0..count).fold(Member::file(name, "x"), |member, number| member.xattr(format!("user.{number}"), "v"))
    };
    let tar = |members: Vec<Member>| Tar::new().members(members).finish();
    let many = reason(&tar(vec![named("many", 1001)]), &options(2));
    insta::assert_snapshot!(many, @"`many` has 1001 extended attributes of 8900 bytes, readers take 1000 of 1048576 bytes");
    let (_, report) = converted(&tar(vec![named("fine", 1000)]), &options(2));
    assert!(matches!(report.outcome, Outcome::Chunked { .. }), "{:?}", report.outcome);
    let limits = Limits { toc_attributes: 5, ..Limits::default() };
    let all = reason(&tar(vec![named("a", 3), named("b", 3)]), &Options { limits, ..options(2) });
    insta::assert_snapshot!(all, @"the TOC would have more than 5 extended attributes");
}

#[test]
fn odd_but_faithful_layers_are_chunked() {
    let tars = [
        ("without end blocks", Tar::new().file("a", data::text(1, 1024)).unfinished()),
        ("one zero block", [Tar::new().file("a", "x").unfinished(), vec![0; 512]].concat()),
        ("absolute names", Tar::new().file("/a", "a").file("/b/c", "c").dir("b/").finish()),
        ("many zero blocks after the end", Tar::new().file("a", "x").finish_with(vec![0; 5 << 20])),
        ("directories only", Tar::new().dir("a/").dir("b/").finish()),
        ("a long name", Tar::new().file(("x".repeat(200) + "/").repeat(20) + "y", "x").finish()),
    ];
    for (what, tar) in tars {
        let (blob, report) = converted(&tar, &options(2));
        assert!(matches!(report.outcome, Outcome::Chunked { .. }), "{what}: {:?}", report.outcome);
        assert!(tar_of(&blob) == tar, "{what}");
    }
}
