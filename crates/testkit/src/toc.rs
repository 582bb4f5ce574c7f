//! A second opinion on zstd:chunked blobs: the TOC by way of the annotations, with no code of morsel.

use std::fmt;

use serde_json::{Map, Value};

use crate::oci;

const PREFIXES: [&str; 2] = ["io.github.containers.zstd-chunked.", "io.containers.zstd-chunked."];
/// Magic number and length of a frame that zstd skips.
const SKIPPABLE_HEADER_LEN: usize = 8;

/// Reads the rows of a TOC out of a blob and its layer descriptor.
///
/// # Panics
///
/// When an annotation is missing or malformed, or the TOC is not what it says.
pub fn rows(blob: &[u8], descriptor: &Value) -> Vec<Map<String, Value>> {
    let toc = read(blob, descriptor);
    let rows = toc["entries"].as_array().expect("a TOC has entries").iter();
    rows.map(|row| row.as_object().expect("a row is an object").clone()).collect()
}

/// Writes a blob whose TOC says something else, and its descriptor. Everything that vouches for the TOC is put right.
///
/// # Panics
///
/// As [`rows`].
pub fn rewrite(blob: &[u8], descriptor: &Value, edit: impl FnOnce(&mut Value)) -> (Vec<u8>, Value) {
    let mut toc = read(blob, descriptor);
    edit(&mut toc);
    let json = toc.to_string();
    let mut compressed = vec![0; zstd_safe::compress_bound(json.len())];
    let written = zstd_safe::compress(&mut compressed[..], json.as_bytes(), 3);
    compressed.truncate(written.map_err(zstd_safe::get_error_name).expect("memory can be compressed"));
    let (toc, tar_split) =
        (position(descriptor, "manifest-position"), position(descriptor, "tarsplit-position"));

    let mut rewritten = blob[..toc.start - SKIPPABLE_HEADER_LEN].to_vec();
    let toc = Position { len: json.len(), ..put_skippable(&mut rewritten, &compressed) };
    let tar_split_blob = &blob[tar_split.start..tar_split.start + tar_split.blob_len];
    let tar_split = Position { len: tar_split.len, ..put_skippable(&mut rewritten, tar_split_blob) };
    let numbers = [toc.start, toc.blob_len, toc.len, 1, tar_split.start, tar_split.blob_len, tar_split.len];
    let mut footer: Vec<u8> = numbers.iter().flat_map(|number| (*number as u64).to_le_bytes()).collect();
    footer.extend(b"GNUlInUx");
    put_skippable(&mut rewritten, &footer);

    let mut descriptor = descriptor.clone();
    descriptor["digest"] = oci::digest(&rewritten).into();
    descriptor["size"] = rewritten.len().into();
    let annotations = &mut descriptor["annotations"];
    annotations[format!("{}manifest-checksum", PREFIXES[0])] = oci::digest(&compressed).into();
    annotations[format!("{}manifest-position", PREFIXES[0])] = format!("{toc}:1").into();
    annotations[format!("{}tarsplit-position", PREFIXES[0])] = tar_split.to_string().into();
    (rewritten, descriptor)
}

/// Where a compressed piece of metadata is in the blob, and how long it is without compression.
#[derive(Debug, Clone, Copy)]
pub struct Position {
    /// Its first byte.
    pub start: usize,
    /// Bytes in the blob.
    pub blob_len: usize,
    /// Bytes when decompressed.
    pub len: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.start, self.blob_len, self.len)
    }
}

/// Reads an annotation such as `manifest-position` of a layer descriptor.
///
/// # Panics
///
/// When it is missing or malformed.
pub fn position(descriptor: &Value, name: &str) -> Position {
    let numbers: Vec<usize> = annotation(descriptor, name)
        .split(':')
        .map(|number| number.parse().expect("a decimal number"))
        .collect();
    match numbers[..] {
        [start, blob_len, len] | [start, blob_len, len, 1] => Position { start, blob_len, len },
        _ => fail("the position is not three numbers, or four of which the last is 1"),
    }
}

fn annotation<'a>(descriptor: &'a Value, name: &str) -> &'a str {
    let value =
        PREFIXES.iter().find_map(|prefix| descriptor["annotations"][format!("{prefix}{name}")].as_str());
    value.unwrap_or_else(|| fail(&format!("no annotation `{name}` in {descriptor}")))
}

fn read(blob: &[u8], descriptor: &Value) -> Value {
    let Position { start, blob_len, len } = position(descriptor, "manifest-position");
    let compressed = &blob[start..start + blob_len];
    assert_eq!(
        oci::digest(compressed),
        annotation(descriptor, "manifest-checksum"),
        "the checksum of the TOC"
    );
    let mut json = vec![0; len];
    let written = zstd_safe::decompress(&mut json[..], compressed).map_err(zstd_safe::get_error_name);
    assert_eq!(written, Ok(len), "the length of the TOC");
    serde_json::from_slice(&json).expect("the TOC is JSON")
}

/// Adds a frame that zstd skips, and says where its payload is.
fn put_skippable(blob: &mut Vec<u8>, payload: &[u8]) -> Position {
    blob.extend(0x184d_2a50_u32.to_le_bytes());
    blob.extend((payload.len() as u32).to_le_bytes());
    let start = blob.len();
    blob.extend(payload);
    Position { start, blob_len: payload.len(), len: payload.len() }
}

/// Keeps of each row what every writer must agree on: all but where the frames lie in the blob.
///
/// Times are compared as they are written, so both writers have to use UTC; Go's zero time counts as none.
pub fn without_blob_offsets(mut rows: Vec<Map<String, Value>>) -> Vec<Map<String, Value>> {
    for row in &mut rows {
        row.retain(|key, value| key != "offset" && key != "endOffset" && value != "0001-01-01T00:00:00Z");
    }
    rows
}

/// Compares two TOCs row by row.
///
/// # Panics
///
/// At the first row that differs.
pub fn assert_same_rows(ours: Vec<Map<String, Value>>, theirs: Vec<Map<String, Value>>) {
    let (ours, theirs) = (without_blob_offsets(ours), without_blob_offsets(theirs));
    for (index, (our, their)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(our, their, "row {index}");
    }
    assert_eq!(ours.len(), theirs.len(), "number of rows");
}

#[expect(clippy::panic, reason = "a blob that cannot be read has failed the test")]
fn fail(why: &str) -> ! {
    panic!("{why}")
}
