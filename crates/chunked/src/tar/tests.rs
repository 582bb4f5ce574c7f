use super::*;
use crate::entry::{EntryKind, Timestamp};

pub(crate) fn block(name: &[u8], typeflag: u8, size: &str, edit: impl FnOnce(&mut [u8; 512])) -> Vec<u8> {
    let mut block = [0; 512];
    block[..name.len()].copy_from_slice(name);
    block[100..108].copy_from_slice(b"0000644\0");
    block[124..124 + size.len()].copy_from_slice(size.as_bytes());
    block[156] = typeflag;
    block[257..265].copy_from_slice(b"ustar\x0000");
    edit(&mut block);
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block.to_vec()
}

pub(crate) fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

pub(crate) fn pax(records: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let len = (1..).map(|digits| rest + digits).find(|len| len.to_string().len() == len - rest).unwrap();
        body.extend(format!("{len} ").as_bytes());
        body.extend(*key);
        body.push(b'=');
        body.extend(*value);
        body.push(b'\n');
    }
    let mut bytes = block(b"pax", b'x', &format!("{:011o}", body.len()), |_| {});
    bytes.extend(padded(body));
    bytes
}

fn member(bytes: &[u8]) -> Member {
    match parse(bytes, &Limits::default()).unwrap() {
        Step::Member { header_len, member } => {
            assert_eq!(header_len, bytes.len());
            *member
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_plain_header_gives_its_fields() {
    let member = member(&block(b"dir/file", b'0', "00000000012", |_| {}));
    assert_eq!((member.name.as_slice(), member.mode, member.size), (b"dir/file".as_slice(), 0o644, 10));
    assert_eq!((member.payload_len(), member.padding_len()), (10, 502));
    assert_eq!(member.to_entry().unwrap().kind, EntryKind::Regular);
}

#[test]
fn a_nul_typeflag_is_a_file_or_with_a_slash_a_directory() {
    assert_eq!(member(&block(b"a", 0, "", |_| {})).typeflag, b'0');
    assert_eq!(member(&block(b"a/", 0, "", |_| {})).typeflag, b'5');
}

#[test]
fn pax_records_override_the_header_and_a_gnu_name_overrides_both() {
    let mut bytes = pax(&[
        (b"path", b"long/name"),
        (b"size", b"5"),
        (b"uid", b"-3"),
        (b"mtime", b"-1.25"),
        (b"atime", b"7.0000000019"),
        (b"SCHILY.xattr.user.a", b"\x00\xff"),
        (b"gid", b""),
        (b"comment", b"skipped"),
    ]);
    let header = block(b"short", b'0', "", |_| {});
    bytes.extend(&header);
    let merged = member(&bytes);
    assert_eq!(
        (merged.name.as_slice(), merged.size, merged.uid, merged.gid),
        (b"long/name".as_slice(), 5, -3, 0)
    );
    assert_eq!(merged.modified, Timestamp { seconds: -2, nanoseconds: 750_000_000 });
    assert_eq!(merged.accessed, Some(Timestamp { seconds: 7, nanoseconds: 1 }));
    assert_eq!(merged.xattrs[b"user.a".as_slice()], b"\x00\xff");

    let mut long = block(b"././@LongLink", b'L', "00000000004", |_| {});
    long.extend(padded(b"gnu\0".to_vec()));
    long.extend(&bytes);
    assert_eq!(member(&long).name, b"gnu");
}

#[test]
fn extensions_are_bounded_together() {
    let limits = Limits { tar_extension_len: 4096, ..Limits::default() };
    let extension = pax(&[(b"comment", &[b'c'; 600])]);
    let endless: Vec<u8> = extension.iter().copied().cycle().take(extension.len() * 10).collect();
    assert!(matches!(parse(&endless, &limits), Err(Invalid::ExtensionTooLong { .. })));
    let few = [&extension[..], &extension, &block(b"a", b'0', "", |_| {})].concat();
    assert!(matches!(parse(&few, &limits), Ok(Step::Member { .. })));
}

#[test]
fn every_cut_of_a_header_asks_for_more() {
    let mut bytes = pax(&[(b"path", &[b'p'; 700])]);
    bytes.extend(block(b"short", b'0', "", |_| {}));
    for len in 0..bytes.len() {
        match parse(&bytes[..len], &Limits::default()).unwrap() {
            Step::NeedMore(more) => assert!(more > len && more <= bytes.len(), "{len}: {more}"),
            other => panic!("{len}: {other:?}"),
        }
    }
}

#[test]
fn large_and_negative_numbers_are_base_256() {
    let with = |bytes: [u8; 12]| block(b"a", b'0', "", |block| block[136..148].copy_from_slice(&bytes));
    let seconds = |bytes| member(&with(bytes)).modified.seconds;
    assert_eq!(seconds([0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1]), 0x2_0000_0001);
    assert_eq!(seconds([0xff; 12]), -1);
    assert!(parse(&with([0xbf; 12]), &Limits::default()).is_err());
}

#[test]
fn ustar_prefixes_and_gnu_times_share_their_place() {
    let ustar = block(b"name", b'0', "", |block| block[345..351].copy_from_slice(b"prefix"));
    assert_eq!(member(&ustar).name, b"prefix/name");
    let gnu = block(b"name", b'0', "", |block| {
        block[257..265].copy_from_slice(b"ustar  \0");
        block[345..357].copy_from_slice(b"00000000007\0");
    });
    let gnu = member(&gnu);
    assert_eq!(
        (gnu.name.as_slice(), gnu.accessed.unwrap().seconds, gnu.changed),
        (b"name".as_slice(), 7, None)
    );
}

#[test]
fn ends_and_errors_are_told_apart() {
    let limits = Limits::default();
    assert_eq!(parse(&[0; 1024], &limits), Ok(Step::End));
    assert_eq!(parse(&[0; 512], &limits), Ok(Step::NeedMore(1024)));
    let mut lone = vec![0; 512];
    lone.extend(block(b"a", b'0', "", |_| {}));
    let mut broken = block(b"a", b'0', "", |_| {});
    broken[0] = b'b';
    let texts = [
        lone,
        broken,
        block(b"a", b'0', "9", |_| {}),
        block(b"a", b'x', "77777777777", |_| {}),
        [block(b"a", b'x', "00000000003", |_| {}), padded(b"9 a".to_vec())].concat(),
        [pax(&[(b"mtime", b"soon")]), block(b"a", b'0', "", |_| {})].concat(),
    ]
    .map(|bytes| parse(&bytes, &limits).unwrap_err().to_string());
    insta::assert_snapshot!(texts.join("\n"), @"
    tar has a single zero block that is not at its end
    tar header has checksum 1406, its bytes sum to 1407
    tar header has no valid number in its field `size`
    tar extension header of 8589934591 bytes goes beyond the limit of 1048576 for a member
    pax header has a malformed record
    pax header has a malformed record `mtime`
    ");
}

#[test]
fn what_a_toc_cannot_express_is_named() {
    let long = [pax(&[(b"path", "d/".repeat(3000).as_bytes())]), block(b"a", b'0', "", |_| {})].concat();
    let texts = [
        block(b"a", b'7', "", |_| {}),
        block(b"a", b'g', "", |_| {}),
        block(b"a", b'S', "", |_| {}),
        [pax(&[(b"GNU.sparse.major", b"1")]), block(b"a", b'0', "", |_| {})].concat(),
        block(b"\xffa", b'0', "", |_| {}),
        block(b"", b'0', "", |_| {}),
        long,
        block(b"d/", b'5', "00000000005", |_| {}),
        [pax(&[(b"mtime", b"253402300800")]), block(b"a", b'0', "", |_| {})].concat(),
        [pax(&[(b"SCHILY.xattr.user.\xff", b"1")]), block(b"a", b'0', "", |_| {})].concat(),
    ]
    .map(|bytes| member(&bytes).to_entry().unwrap_err().to_string());
    insta::assert_snapshot!(texts.join("\n"), @r"
    `a` has the tar type `7`, which a TOC cannot express
    the tar has a pax global header
    `a` is stored as a sparse file
    `a` is stored as a sparse file
    the name of `\xffa` is not UTF-8
    a member has an empty name
    the name of `d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/...` is 6000 bytes long, more than 4095
    `d/` has no payload but the size 5
    `a` has a time outside the years 0 to 9999
    the extended attribute name of `a` is not UTF-8
    ");
}

/// A tar with a long name, content, padding and bytes after its end.
fn sample() -> Vec<u8> {
    let mut tar = block(b"dir/", b'5', "", |_| {});
    tar.extend(pax(&[(b"path", &[b'n'; 300])]));
    tar.extend(block(b"short", b'0', "00000001130", |_| {}));
    tar.extend(padded(vec![7; 600]));
    tar.extend(block(b"empty", b'0', "", |_| {}));
    tar.extend([0; 1024]);
    tar.extend(b"after the end");
    tar
}

/// Names, raw bytes and content of a tar.
type Walked = (Vec<Vec<u8>>, Vec<u8>, Vec<u8>);

/// Walks `tar` given in pieces; returns the members' names, and what was raw and what content.
fn walked(tar: &[u8], piece: usize) -> Result<Walked, Invalid> {
    let (mut names, mut raw, mut content) = (Vec::new(), Vec::new(), Vec::new());
    let mut walk = Walk::new(&Limits::default());
    for mut bytes in tar.chunks(piece) {
        while let Some(event) = walk.step(&mut bytes)? {
            match event {
                Event::Member(member) => names.push(member.name),
                Event::Raw(bytes) => raw.extend_from_slice(bytes),
                Event::Content(bytes) => content.extend_from_slice(bytes),
            }
        }
        assert!(bytes.is_empty());
    }
    walk.finish().map(|()| (names, raw, content))
}

#[test]
fn a_walk_meets_every_byte_however_it_is_fed() {
    let tar = sample();
    let whole = walked(&tar, tar.len()).unwrap();
    assert_eq!(whole.0, [b"dir/".to_vec(), vec![b'n'; 300], b"empty".to_vec()]);
    assert_eq!(whole.2, [7; 600]);
    assert_eq!(whole.1.len() + whole.2.len(), tar.len());
    for piece in [1, 7, 511, 512, 513, 1024, 2000] {
        assert_eq!(walked(&tar, piece).unwrap(), whole, "{piece}");
    }
}

#[test]
fn a_walk_notices_a_missing_end() {
    let tar = sample();
    let missing = |len: usize| match walked(&tar[..len], 4096) {
        Ok(_) => 0,
        Err(Invalid::Truncated { missing }) => missing,
        Err(other) => panic!("{other}"),
    };
    assert_eq!([0, 512, 3000, 4096].map(missing), [0; 4]);
    assert_eq!([100, 600, 2100].map(missing), [412, 424, 548]);
    insta::assert_snapshot!(walked(&tar[..100], 4096).unwrap_err(), @"tar ends 412 bytes early");
}

#[test]
fn extensions_without_end_are_refused() {
    let tar = pax(&[]).repeat(1000);
    insta::assert_snapshot!(walked(&tar, 512).unwrap_err(), @"tar has more than 8 extension headers before one member");
}
