use std::io;

use super::*;
use crate::entry::{EntryKind, Timestamp};
use crate::tar::tests::{block, padded, pax};
use crate::tar_split::{Crc64, Writer};

/// One member of a tar: its headers and its content.
pub(crate) type Piece = (Vec<u8>, &'static [u8]);

/// A directory, a file that has everything a header can say, and a device.
pub(crate) fn pieces() -> Vec<Piece> {
    let records: [(&[u8], &[u8]); 5] = [
        (b"mtime", b"1700000000.25"),
        (b"atime", b"1700000001"),
        (b"ctime", b"1700000002"),
        (b"SCHILY.xattr.user.a", b"1"),
        (b"SCHILY.xattr.user.b", b"\x00\xff"),
    ];
    let file = [pax(&records), block(b"dir/file", b'0', "00000000006", |_| {})].concat();
    let device = block(b"null", b'3', "", |block| block[329..345].copy_from_slice(b"0000001\x000000003\0"));
    vec![(block(b"dir/", b'5', "", |_| {}), b""), (file, b"hello\n"), (device, b"")]
}

pub(crate) fn tar_of(pieces: &[Piece]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (header, content) in pieces {
        tar.extend_from_slice(header);
        tar.extend(padded(content.to_vec()));
    }
    tar.extend([0; 1024]);
    tar
}

pub(crate) fn members(tar: &[u8]) -> Vec<Member> {
    let (mut walk, mut bytes, mut members) = (Walk::new(&Limits::default()), tar, Vec::new());
    while let Some(event) = walk.step(&mut bytes).unwrap() {
        if let Event::Member(member) = event {
            members.push(*member);
        }
    }
    members
}

fn rows(pieces: &[Piece]) -> Vec<Entry> {
    members(&tar_of(pieces)).iter().map(|member| member.to_entry().unwrap()).collect()
}

pub(crate) fn split_of(pieces: &[Piece]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    let mut padding = 0;
    let names = members(&tar_of(pieces)).into_iter().map(|member| member.name);
    for ((header, content), name) in pieces.iter().zip(names) {
        writer.segment(&[vec![0; padding], header.clone()].concat()).unwrap();
        writer.file(&name, content.len() as u64, Crc64::of(content)).unwrap();
        padding = content.len().next_multiple_of(512) - content.len();
    }
    writer.segment(&vec![0; padding + 1024]).unwrap();
    writer.finish()
}

fn audited(split: &[u8], rows: &[Entry]) -> Result<Findings, Error> {
    let limits = Limits::default();
    tar_split(&mut Reader::new(split, &limits), rows, Rules::Exact, &limits)
}

fn disagreements(findings: &Findings) -> String {
    let lines: Vec<String> = findings.disagreements.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[test]
fn one_story_told_three_times_agrees() {
    let (pieces, limits) = (pieces(), Limits::default());
    let rows = rows(&pieces);
    let expected = Findings { members: 3, ..Findings::default() };
    assert_eq!(audited(&split_of(&pieces), &rows).unwrap(), expected);
    assert_eq!(tar(tar_of(&pieces).as_slice(), &rows, Rules::Exact, &limits).unwrap(), expected);
}

#[test]
fn the_order_of_rows_does_not_matter() {
    let pieces = pieces();
    let mut rows = rows(&pieces);
    rows.reverse();
    assert_eq!(audited(&split_of(&pieces), &rows).unwrap().count, 0);
}

#[test]
fn every_field_is_compared() {
    let edits: [fn(&mut Entry); 13] = [
        |row| row.kind = EntryKind::Fifo,
        |row| row.link_name = "target".into(),
        |row| row.mode = 0o4755,
        |row| row.size = 7,
        |row| row.uid = 1000,
        |row| row.gid = -1,
        |row| row.modified = None,
        |row| row.accessed = Some(Timestamp { seconds: 1_700_000_001, nanoseconds: 1 }),
        |row| row.changed = Some(Timestamp { seconds: -5, nanoseconds: 0 }),
        |row| row.dev_major = 8,
        |row| row.dev_minor = 1,
        |row| drop(row.xattrs.insert("user.b".into(), b"\x01".to_vec())),
        |row| drop(row.xattrs.remove("user.a")),
    ];
    let pieces = pieces();
    let split = split_of(&pieces);
    let found = edits.map(|edit| {
        let mut rows = rows(&pieces);
        edit(&mut rows[1]);
        let findings = audited(&split, &rows).unwrap();
        assert_eq!(findings.count, 1);
        disagreements(&findings)
    });
    insta::assert_snapshot!(found.join("\n"), @r"
    type of `dir/file` is fifo in the TOC, reg in the tar
    linkName of `dir/file` is `target` in the TOC, `` in the tar
    mode of `dir/file` is 04755 in the TOC, 0644 in the tar
    size of `dir/file` is 7 in the TOC, 6 in the tar
    uid of `dir/file` is 1000 in the TOC, 0 in the tar
    gid of `dir/file` is -1 in the TOC, 0 in the tar
    modtime of `dir/file` is not set in the TOC, 2023-11-14T22:13:20.25Z in the tar
    accesstime of `dir/file` is 2023-11-14T22:13:21.000000001Z in the TOC, 2023-11-14T22:13:21Z in the tar
    changetime of `dir/file` is 1969-12-31T23:59:55Z in the TOC, 2023-11-14T22:13:22Z in the tar
    devMajor of `dir/file` is 8 in the TOC, 0 in the tar
    devMinor of `dir/file` is 1 in the TOC, 0 in the tar
    xattrs of `dir/file` is `user.b=\x01` in the TOC, `user.b=\x00\xff` in the tar
    xattrs of `dir/file` is without `user.a` in the TOC, `user.a=1` in the tar
    ");
}

#[test]
fn every_entry_is_in_both_once() {
    let edits: [fn(&mut Vec<Entry>); 4] = [
        |rows| drop(rows.remove(0)),
        |rows| rows.push(Entry::new(EntryKind::Fifo, "pipe")),
        |rows| rows.insert(0, rows[1].clone()),
        |rows| rows.push(rows[1].clone()),
    ];
    let pieces = pieces();
    let split = split_of(&pieces);
    let found = edits.map(|edit| {
        let mut rows = rows(&pieces);
        edit(&mut rows);
        disagreements(&audited(&split, &rows).unwrap())
    });
    insta::assert_snapshot!(found.join("\n"), @"
    entry of `dir/` is absent in the TOC, present in the tar
    entry of `pipe` is present in the TOC, absent in the tar
    entry of `dir/file` is named twice in the TOC, one path in the tar
    entry of `dir/file` is named twice in the TOC, one path in the tar
    ");
}

#[test]
fn a_tar_that_names_a_path_twice_disagrees_with_any_toc() {
    let mut pieces = pieces();
    pieces.push((block(b"./null", b'0', "", |_| {}), b""));
    let rows = rows(&pieces);
    insta::assert_snapshot!(disagreements(&audited(&split_of(&pieces), &rows).unwrap()), @"entry of `./null` is one path in the TOC, named twice in the tar");
}

#[test]
fn what_a_toc_cannot_say_disagrees() {
    let odd = [
        (pax(&[(b"GNU.sparse.major", b"1")]), block(b"sparse", b'0', "", |_| {})),
        (Vec::new(), block(b"volume", b'V', "", |_| {})),
        (Vec::new(), block(b"caf\xe9", b'0', "", |_| {})),
    ];
    let found = odd.map(|(extension, header)| {
        let name = String::from_utf8_lossy(&header[..6]).trim_end_matches('\0').to_owned();
        let pieces = [([extension, header].concat(), [].as_slice())];
        let row = Entry { mode: 0o644, ..Entry::new(EntryKind::Regular, name) };
        disagreements(&audited(&split_of(&pieces), &[row]).unwrap())
    });
    insta::assert_snapshot!(found.join("\n"), @"
    type of `sparse` is reg in the TOC, a sparse file in the tar
    type of `volume` is reg in the TOC, `V` in the tar
    entry of `caf�` is absent in the TOC, present in the tar
    entry of `caf�` is present in the TOC, absent in the tar
    ");
}

#[test]
fn times_that_are_not_set_are_equal() {
    let pieces = [(block(b"a", b'0', "", |_| {}), [].as_slice())];
    let split = split_of(&pieces);
    for seconds in [None, Some(0), Some(-62_135_596_800)] {
        let mut rows = rows(&pieces);
        rows[0].modified = seconds.map(|seconds| Timestamp { seconds, nanoseconds: 0 });
        rows[0].accessed = rows[0].modified;
        assert_eq!(audited(&split, &rows).unwrap().count, 0, "{seconds:?}");
    }
}

#[test]
fn stargz_rows_say_less() {
    let (pieces, limits) = (pieces(), Limits::default());
    let mut rows = rows(&pieces);
    let whole = |seconds| Some(Timestamp { seconds, nanoseconds: 0 });
    (rows[1].modified, rows[1].accessed, rows[1].changed) = (whole(1_700_000_000), None, None);
    rows[0].dev_minor = 9;
    let audit = |rows: &[Entry]| tar(tar_of(&pieces).as_slice(), rows, Rules::Stargz, &limits).unwrap();
    assert_eq!(audit(&rows).count, 0);
    rows[1].modified = whole(1_700_000_001);
    insta::assert_snapshot!(disagreements(&audit(&rows)), @"modtime of `dir/file` is 2023-11-14T22:13:21Z in the TOC, 2023-11-14T22:13:20Z in the tar");
}

#[test]
fn records_that_do_not_follow_their_headers_are_refused() {
    let header = block(b"a", b'0', "00000000006", |_| {});
    let rows = [Entry { mode: 0o644, size: 6, ..Entry::new(EntryKind::Regular, "a") }];
    type Records<'a> = &'a dyn Fn(&mut Writer<Vec<u8>>) -> io::Result<()>;
    let streams: [Records<'_>; 7] = [
        &|writer| writer.segment(&header),
        &|writer| writer.segment(&[header.as_slice(), &[0; 1024]].concat()),
        &|writer| writer.file(b"a", 6, 0),
        &|writer| writer.segment(&header).and_then(|()| writer.file(b"b", 6, 0)),
        &|writer| writer.segment(&header).and_then(|()| writer.file(b"a", 5, 0)),
        &|writer| writer.segment(&header[..100]),
        &|writer| writer.segment(&[1; 512]),
    ];
    let found = streams.map(|records| {
        let mut writer = Writer::new(Vec::new());
        records(&mut writer).unwrap();
        audited(&writer.finish(), &rows).unwrap_err().to_string()
    });
    insta::assert_snapshot!(found.join("\n"), @"
    record 1 of the tar-split follows the header of `a`, expected the record of that file
    record 0 of the tar-split follows the header of `a`, expected the record of that file
    record 0 of the tar-split is of the file `a`, which has no header before it
    record 1 of the tar-split has the name `b`, the header before it `a`
    record 1 of the tar-split has 5 bytes of `a`, the header before it 6
    record 0 of the tar-split holds only a part of a header
    record 0 of the tar-split is part of an invalid tar: tar header has no valid number in its field `chksum`
    ");
}

#[test]
fn disagreements_without_number_are_counted_but_not_kept() {
    let rows: Vec<Entry> = (0..1000).map(|n| Entry::new(EntryKind::Fifo, format!("{n}"))).collect();
    let findings = audited(&split_of(&[]), &rows).unwrap();
    assert_eq!((findings.count, findings.disagreements.len()), (1000, 20));
    insta::assert_snapshot!(findings.into_result().unwrap_err(), @"TOC and tar disagree in 1000 places: entry of `0` is present in the TOC, absent in the tar");
}
