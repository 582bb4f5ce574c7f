use std::io::Read;

use proptest::prelude::*;

use super::*;
use crate::digest::{ContentDigest, TarSplitDigest};
use crate::entry::{ChunkKind, Entry, EntryKind, Timestamp};
use crate::error::{Class, Error};
use crate::limits::Limits;
use crate::testing::{entries, zstd_frame};
use crate::zstd_read::ZstdReader;

/// Where the TOC of every test starts, whatever it says.
const PAYLOAD_LEN: u64 = 1000;

fn parse_text(text: &str) -> Result<Toc, Error> {
    Toc::parse(text.as_bytes(), PAYLOAD_LEN, &Limits::default())
}

fn parse_rows(rows: &str) -> Result<Toc, Error> {
    parse_text(&format!(r#"{{"version":1,"entries":[{rows}]}}"#))
}

fn refusal(text: &str) -> String {
    let error = parse_text(text).unwrap_err();
    assert!(matches!(error, Error::Toc(_)), "{error:?}");
    error.to_string()
}

fn row_refusal(rows: &str) -> String {
    parse_rows(rows).unwrap_err().to_string()
}

/// The chunks of all entries: bytes of the file, bytes of the blob, bytes to drop.
fn places(rows: &str) -> Vec<String> {
    let place = |entry: &Entry| {
        let chunks = entry.content.iter().flat_map(|content| &content.chunks);
        let chunks: Vec<_> =
            chunks.map(|chunk| format!("{}@{}+{}", chunk.file, chunk.blob, chunk.inner_offset)).collect();
        let range = entry.content.as_ref().map(|content| content.range.to_string()).unwrap_or_default();
        format!("{} {range} {}", entry.name, chunks.join(" "))
    };
    parse_rows(rows).unwrap().entries.iter().map(place).collect()
}

fn encode(entries: &[Entry], tar_split: Option<&TarSplitDigest>) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new()).unwrap();
    entries.iter().for_each(|entry| writer.entry(entry).unwrap());
    writer.finish(tar_split).unwrap()
}

proptest! {
    #[test]
    fn what_is_written_reads_back((entries, payload_len) in entries(), split: Option<[u8; 32]>) {
        let tar_split = split.map(|bytes| TarSplitDigest::of(&bytes));
        let json = encode(&entries, tar_split.as_ref());
        let toc = Toc::parse(json.as_slice(), payload_len, &Limits::default()).unwrap();
        let trailer = Trailer { tar_split, has_end_offsets: true, len: json.len() as u64 };
        prop_assert_eq!(toc, Toc { entries, trailer });
    }

    #[test]
    fn damage_never_panics((entries, payload_len) in entries(), at: prop::sample::Index, byte: u8) {
        let mut json = encode(&entries, None);
        let at = at.index(json.len());
        json[at] = byte;
        let _ = Toc::parse(json.as_slice(), payload_len, &Limits::default());
        let _ = Toc::parse(&json[..at], payload_len, &Limits::default()).unwrap_err();
    }

    #[test]
    fn text_never_panics(text in r#"[{}\[\]":,0-9a-z\\ ]{0,60}"#) {
        let _ = parse_text(&text);
        let _ = parse_rows(&text);
    }
}

#[test]
fn all_metadata_is_read() {
    let toc = parse_rows(
        r#"{"type":"symlink","name":"./a","linkName":"b","mode":511,"uid":1,"gid":2,"modtime":"1970-01-01T00:00:01.5Z",
            "accesstime":"0001-01-01T00:00:00Z","devMajor":3,"devMinor":4,"xattrs":{"user.x":"AP8="},"userName":"root"}"#,
    );
    let entry = Entry {
        link_name: "b".into(),
        mode: 0o777,
        uid: 1,
        gid: 2,
        modified: Some(Timestamp { seconds: 1, nanoseconds: 500_000_000 }),
        dev_major: 3,
        dev_minor: 4,
        xattrs: [("user.x".into(), vec![0, 255])].into(),
        ..Entry::new(EntryKind::Symlink, "./a")
    };
    assert_eq!(toc.unwrap().entries, [entry]);
}

#[test]
fn what_the_first_writers_left_empty_is_unset() {
    let toc = parse_rows(
        r#"{"type":"reg","name":"a","linkName":"","size":0,"accesstime":"0001-01-01T00:00:00Z","xattrs":null,
            "digest":"","offset":0,"chunkDigest":"","chunkType":"","modtime":null,"uid":null}"#,
    );
    assert_eq!(toc.unwrap().entries, [Entry::new(EntryKind::Regular, "a")]);
    assert_eq!(parse_text(r#"{"version":1,"entries":null}"#).unwrap().entries, []);
}

#[test]
fn chunks_end_where_the_next_starts_or_at_the_end_offset() {
    let rows = r#"
        {"type":"dir","name":"d"},
        {"type":"reg","name":"a","size":10,"offset":100,"endOffset":150,"chunkSize":4},
        {"type":"chunk","name":"a","offset":120,"chunkSize":3,"chunkOffset":4,"chunkType":"zeros"},
        {"type":"chunk","name":"a","offset":130,"chunkSize":3,"chunkOffset":7},
        {"type":"symlink","name":"s"},
        {"type":"reg","name":"b","size":5,"offset":160,"endOffset":170}"#;
    insta::assert_debug_snapshot!(places(rows), @r#"
    [
        "d  ",
        "a 100..150 0..4@100..120+0 4..7@120..130+0 7..10@130..150+0",
        "s  ",
        "b 160..170 0..5@160..170+0",
    ]
    "#);
    let toc = parse_rows(rows).unwrap();
    assert!(toc.trailer.has_end_offsets);
    assert_eq!(toc.entries[1].content.as_ref().unwrap().chunks[1].kind, ChunkKind::Zeros);
}

#[test]
fn estargz_rows_end_where_other_data_starts() {
    let rows = r#"
        {"type":"reg","name":"a","size":10,"offset":100,"chunkSize":4},
        {"type":"chunk","name":"a","offset":120,"chunkSize":4,"chunkOffset":4},
        {"type":"chunk","name":"a","offset":130,"chunkOffset":8},
        {"type":"dir","name":"d"},
        {"type":"reg","name":"b","size":5,"offset":200},
        {"type":"reg","name":"c","size":5,"offset":200,"innerOffset":600},
        {"type":"reg","name":".no.prefetch.landmark","size":1,"offset":300}"#;
    insta::assert_debug_snapshot!(places(rows), @r#"
    [
        "a 100..200 0..4@100..120+0 4..8@120..130+0 8..10@130..200+0",
        "d  ",
        "b 200..300 0..5@200..300+0",
        "c 200..300 0..5@200..300+600",
        ".no.prefetch.landmark 300..1000 0..1@300..1000+0",
    ]
    "#);
    assert!(!parse_rows(rows).unwrap().trailer.has_end_offsets);
    assert!(is_stargz_file(".no.prefetch.landmark"));
}

#[test]
fn digests_of_files_and_chunks_are_kept() {
    let digest = ContentDigest::of(b"x");
    let rows = format!(
        r#"{{"type":"reg","name":"a","size":1,"offset":9,"digest":"{digest}","chunkDigest":"{digest}"}}"#
    );
    let toc = parse_rows(&rows).unwrap();
    let content = toc.entries[0].content.as_ref().unwrap();
    assert_eq!((content.digest, content.chunks[0].digest), (Some(digest), Some(digest)));
}

#[test]
fn documents_that_are_no_toc_are_refused() {
    insta::assert_snapshot!(refusal(""), @"the TOC is malformed: EOF while parsing a value at line 1 column 0");
    insta::assert_snapshot!(refusal("[]"), @"the TOC is malformed: invalid type: sequence, expected a TOC at line 1 column 0");
    insta::assert_snapshot!(refusal(r#"{"version":1}"#), @"the TOC has no key `entries`");
    insta::assert_snapshot!(refusal(r#"{"entries":[]}"#), @"the TOC has no key `version`");
    insta::assert_snapshot!(refusal(r#"{"version":2,"entries":[]}"#), @"the TOC has version 2, expected 1");
    insta::assert_snapshot!(refusal(r#"{"version":1,"entries":[]}{}"#), @"the TOC is malformed: trailing characters at line 1 column 27");
    insta::assert_snapshot!(refusal(r#"{"version":1,"entries":[],"entries":[]}"#), @"the TOC is malformed: duplicate field `entries` at line 1 column 35");
    insta::assert_snapshot!(refusal(r#"{"version":1,"Entries":[]}"#), @"the TOC is malformed: key `Entries` is not spelled `entries` at line 1 column 22");
    insta::assert_snapshot!(refusal(r#"{"version":1,"entries":[],"tarſplitdigest":""}"#), @"the TOC is malformed: key `tarſplitdigest` is not spelled `tarSplitDigest` at line 1 column 43");
    insta::assert_snapshot!(refusal(r#"{"version":1,"":1,"entries":[]}"#), @"the TOC is malformed: a key is empty at line 1 column 15");
    insta::assert_snapshot!(refusal(r#"{"version":1,"entries":[],"tarSplitDigest":"sha256:00"}"#), @"the TOC is malformed: digest `sha256:00` does not have the lower-case hexadecimal digits its algorithm asks for at line 1 column 54");
    let nested = format!(r#"{{"x":{}"#, "[".repeat(100));
    insta::assert_snapshot!(refusal(&nested), @"the TOC nests deeper than 32 brackets");
}

#[test]
fn rows_that_are_no_entries_are_refused() {
    insta::assert_snapshot!(row_refusal(r#"1"#), @"the TOC is malformed: invalid type: integer `1`, expected a row of a TOC at line 1 column 25");
    insta::assert_snapshot!(row_refusal(r#"{"name":"a"}"#), @"the TOC is malformed: missing field `type` at line 1 column 36");
    insta::assert_snapshot!(row_refusal(r#"{"type":"reg"}"#), @"the TOC is malformed: missing field `name` at line 1 column 38");
    insta::assert_snapshot!(row_refusal(r#"{"type":"door","name":"a"}"#), @"the TOC is malformed: type `door` is not known at line 1 column 38");
    insta::assert_snapshot!(row_refusal(r#"{"type":"reg","name":"a","name":"b"}"#), @"the TOC is malformed: duplicate field `name` at line 1 column 55");
    insta::assert_snapshot!(row_refusal(r#"{"type":"reg","name":"a","NAME":"b"}"#), @"the TOC is malformed: key `NAME` is not spelled `name` at line 1 column 55");
    insta::assert_snapshot!(row_refusal(r#"{"type":"reg","name":"a","size":-1}"#), @"the TOC is malformed: invalid value: integer `-1`, expected u64 at line 1 column 58");
    insta::assert_snapshot!(row_refusal(r#"{"type":"reg","name":"a","modtime":""}"#), @"the TOC is malformed: `` is not an RFC 3339 time at line 1 column 61");
    insta::assert_snapshot!(row_refusal(r#"{"type":"reg","name":"a","digest":"sha256:0"}"#), @"the TOC is malformed: digest `sha256:0` does not have the lower-case hexadecimal digits its algorithm asks for at line 1 column 68");
    insta::assert_snapshot!(row_refusal(r#"{"type":"reg","name":"a","chunkType":"ones"}"#), @"the TOC is malformed: chunk type `ones` is not known at line 1 column 67");
    insta::assert_snapshot!(row_refusal(r#"{"type":"dir","name":"a","xattrs":{"u":"?"}}"#), @"the TOC is malformed: the value of an extended attribute is not base64 at line 1 column 66");
    insta::assert_snapshot!(row_refusal(r#"{"type":"dir","name":"a","xattrs":{"u":"","u":""}}"#), @"the TOC is malformed: an extended attribute comes twice at line 1 column 73");
    insta::assert_snapshot!(row_refusal(r#"{"type":"dir","name":"a\u0000b"}"#), @r"row 0 of the TOC, `a\0b`: the name contains a NUL byte");
}

#[test]
fn chunks_that_do_not_make_a_file_are_refused() {
    let with = |chunks: &str| row_refusal(&format!(r#"{{"type":"dir","name":"d"}},{chunks}"#));
    let first = r#"{"type":"reg","name":"a","size":10,"offset":100,"endOffset":150,"chunkSize":4}"#;
    let after = |chunk: &str| with(&format!(r#"{first},{{"type":"chunk",{chunk}}}"#));
    insta::assert_snapshot!(with(r#"{"type":"chunk","name":"d","offset":1,"chunkSize":1}"#), @"row 1 of the TOC, `d`: the chunk does not follow its file");
    insta::assert_snapshot!(after(r#""name":"b","offset":120,"chunkOffset":4"#), @"row 2 of the TOC, `b`: the chunk does not follow its file");
    insta::assert_snapshot!(after(r#""name":"a","offset":120,"chunkOffset":5"#), @"row 2 of the TOC, `a`: the chunk starts at byte 5 of the file, expected 4");
    insta::assert_snapshot!(after(r#""name":"a","offset":120,"chunkOffset":4,"chunkSize":7"#), @"row 2 of the TOC, `a`: a chunk of 7 bytes at byte 4 does not fit a file of 10");
    insta::assert_snapshot!(after(r#""name":"a","offset":120,"chunkOffset":4,"chunkSize":5"#), @"row 1 of the TOC, `a`: the chunks cover 9 of 10 bytes");
    insta::assert_snapshot!(after(r#""name":"a","offset":100,"chunkOffset":4"#), @"row 2 of the TOC, `a`: the data starts 0 bytes into what its frame holds, expected 4 or later");
    insta::assert_snapshot!(after(r#""name":"a","offset":150,"chunkOffset":4"#), @"row 2 of the TOC, `a`: the data reaches byte 151 of the blob, expected no more than 150");
    insta::assert_snapshot!(after(r#""name":"a","offset":120,"chunkOffset":4},{"type":"chunk","name":"a","chunkOffset":10"#), @"row 3 of the TOC, `a`: a chunk of 0 bytes at byte 10 does not fit a file of 10");
    insta::assert_snapshot!(row_refusal(first), @"row 0 of the TOC, `a`: the chunks cover 4 of 10 bytes");
}

#[test]
fn data_that_is_not_where_it_can_be_is_refused() {
    let two = |first: &str, second: &str| {
        let row = |name: &str, place: &str| format!(r#"{{"type":"reg","name":"{name}","size":10,{place}}}"#);
        row_refusal(&format!("{},{}", row("a", first), row("b", second)))
    };
    insta::assert_snapshot!(row_refusal(r#"{"type":"reg","name":"a","size":10}"#), @"row 0 of the TOC, `a`: the file has bytes but no offset in the blob");
    insta::assert_snapshot!(two(r#""offset":100"#, r#""offset":99"#), @"row 1 of the TOC, `b`: the data starts at byte 99 of the blob, expected 100 or later");
    insta::assert_snapshot!(two(r#""offset":100"#, r#""offset":100"#), @"row 1 of the TOC, `b`: the data starts 0 bytes into what its frame holds, expected 10 or later");
    insta::assert_snapshot!(two(r#""offset":100,"endOffset":200"#, r#""offset":199"#), @"row 1 of the TOC, `b`: the data starts at byte 199 of the blob, expected 200 or later");
    insta::assert_snapshot!(two(r#""offset":100"#, r#""offset":1000"#), @"row 1 of the TOC, `b`: the data reaches byte 1001 of the blob, expected no more than 1000");
    insta::assert_snapshot!(two(r#""offset":100"#, r#""offset":200,"endOffset":1001"#), @"row 1 of the TOC, `b`: the data reaches byte 1001 of the blob, expected no more than 1000");
    insta::assert_snapshot!(two(r#""offset":100"#, r#""offset":200,"endOffset":200"#), @"row 1 of the TOC, `b`: the data reaches byte 201 of the blob, expected no more than 200");
}

#[test]
fn a_toc_without_blob_has_rows_without_offsets() {
    let unplaced = |rows: &str| {
        let text = format!(r#"{{"version":1,"entries":[{rows}]}}"#);
        Toc::parse_unplaced(text.as_bytes(), &Limits::default())
    };
    let rows = r#"{"type":"reg","name":"a","size":10,"chunkSize":4},{"type":"chunk","name":"a","chunkOffset":4},
        {"type":"dir","name":"d"},{"type":"reg","name":"b","size":1}"#;
    let toc = unplaced(rows).unwrap();
    let contents: Vec<_> = toc.entries.iter().filter_map(|entry| entry.content.as_ref()).collect();
    assert_eq!((toc.entries.len(), contents.len(), contents[0].chunks.len()), (3, 2, 2));
    assert!(contents.iter().all(|content| content.range.is_empty()));
    let refusal = |row: &str| unplaced(row).unwrap_err().to_string();
    insta::assert_snapshot!(refusal(r#"{"type":"reg","name":"a","size":1,"offset":5}"#), @"row 0 of the TOC, `a`: the data is at byte 5 of a blob, expected no place");
    insta::assert_snapshot!(refusal(r#"{"type":"reg","name":"a","size":9,"chunkSize":4}"#), @"row 0 of the TOC, `a`: the chunks cover 4 of 9 bytes");
}

#[test]
fn limits_stop_what_is_too_much() {
    let text = |json: &str, limits: &Limits| {
        let error = Toc::parse(json.as_bytes(), PAYLOAD_LEN, limits).unwrap_err();
        format!("{:?}: {error}", error.class())
    };
    let json = r#"{"version":1,"entries":[{"type":"dir","name":"12345"},{"type":"dir","name":"b"}]}"#;
    let limits = Limits::default();
    insta::assert_snapshot!(text(json, &Limits { toc_len: 80, ..limits }), @"Corrupt: the TOC is longer than 80 bytes");
    insta::assert_snapshot!(text(json, &Limits { entries: 1, ..limits }), @"Unsupported: the TOC has more than 1 rows");
    insta::assert_snapshot!(text(json, &Limits { string_len: 4, ..limits }), @"Unsupported: row 0 of the TOC, `12345`: the name is 5 bytes long, the limit is 4");
    let long = format!(r#"{{"version":1,"entries":[{{"type":"dir","name":"{}"#, "x".repeat(1000));
    insta::assert_snapshot!(text(&long, &Limits { string_len: 100, ..limits }), @"Unsupported: the TOC holds a string of more than 100 bytes");
    assert!(
        Toc::parse(
            json.as_bytes(),
            PAYLOAD_LEN,
            &Limits { toc_len: 81, entries: 2, string_len: 5, ..limits }
        )
        .is_ok()
    );
}

#[test]
fn limits_stop_attributes_of_a_row_and_of_all_rows() {
    let row = |name: &str, count: usize, value: &str| {
        let attributes: Vec<_> = (0..count).map(|number| format!(r#""user.{number}":"{value}""#)).collect();
        format!(r#"{{"type":"dir","name":"{name}","xattrs":{{{}}}}}"#, attributes.join(","))
    };
    let read = |rows: &[String], limits: &Limits| {
        let json = format!(r#"{{"version":1,"entries":[{}]}}"#, rows.join(","));
        Toc::parse(json.as_bytes(), PAYLOAD_LEN, limits)
    };
    let text = |rows: &[String], limits: &Limits| {
        let error = read(rows, limits).unwrap_err();
        format!("{:?}: {error}", error.class())
    };
    let limits = Limits { attributes: 3, attributes_len: 40, toc_attributes: 5, ..Limits::default() };
    let (fine, many, long) = (row("a", 3, "eHg="), row("b", 9, ""), row("c", 2, &"eHh4".repeat(5)));
    assert_eq!(read(std::slice::from_ref(&fine), &limits).unwrap().entries[0].xattrs.len(), 3);
    insta::assert_snapshot!(text(&[row("d", 0, ""), many.clone()], &limits), @"Unsupported: row 1 of the TOC, `b`: 9 extended attributes in the row, expected no more than 3");
    insta::assert_snapshot!(text(&[long], &limits), @"Unsupported: row 0 of the TOC, `c`: the list of extended attributes is 42 bytes long, the limit is 40");
    insta::assert_snapshot!(text(&[fine.clone(), row("d", 0, ""), fine], &limits), @"Unsupported: row 2 of the TOC, `a`: 6 extended attributes in the TOC up to this row, expected no more than 5");
    insta::assert_snapshot!(text(&[row("e", 300_000, "")], &Limits::default()), @"Unsupported: row 0 of the TOC, `e`: 300000 extended attributes in the row, expected no more than 1000");
}

#[test]
fn a_string_without_end_is_not_collected() {
    let endless = b"{\"version\":1,\"x\":\"".chain(std::io::repeat(b'x'));
    let error = Toc::parse(endless, PAYLOAD_LEN, &Limits::default()).unwrap_err();
    assert_eq!(error.class(), Class::Unsupported, "{error}");
    let escapes = b"{\"version\":1,\"x\":\"".chain(std::io::repeat(b'\\'));
    let error = Toc::parse(escapes, PAYLOAD_LEN, &Limits::default()).unwrap_err();
    assert_eq!(error.class(), Class::Unsupported, "{error}");
}

#[test]
fn a_reader_that_fails_is_not_blamed_on_the_toc() {
    let frame = zstd_frame(br#"{"version":1,"entries":[]}"#);
    let truncated = ZstdReader::new(&frame[..20]);
    let error = Toc::parse(truncated.unwrap(), PAYLOAD_LEN, &Limits::default()).unwrap_err();
    assert!(matches!(error, Error::Read { what: "the TOC", .. }), "{error:?}");
    assert_eq!(error.class(), Class::Corrupt);
}
