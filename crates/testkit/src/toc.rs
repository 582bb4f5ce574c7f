//! A second opinion on zstd:chunked blobs: the TOC by way of the annotations, with no code of morsel.

use serde_json::{Map, Value};

use crate::oci;

const PREFIXES: [&str; 2] = ["io.github.containers.zstd-chunked.", "io.containers.zstd-chunked."];

/// Reads the rows of a TOC out of a blob and its layer descriptor.
///
/// # Panics
///
/// When an annotation is missing or malformed, or the TOC is not what it says.
pub fn rows(blob: &[u8], descriptor: &Value) -> Vec<Map<String, Value>> {
    let annotation = |name: &str| {
        let value =
            PREFIXES.iter().find_map(|prefix| descriptor["annotations"][format!("{prefix}{name}")].as_str());
        value.unwrap_or_else(|| fail(&format!("no annotation `{name}` in {descriptor}")))
    };
    let numbers: Vec<usize> = annotation("manifest-position")
        .split(':')
        .map(|number| number.parse().expect("a decimal number"))
        .collect();
    let [offset, blob_len, len, 1] = numbers[..] else {
        fail("the position is not four numbers, the last one 1")
    };
    let compressed = &blob[offset..offset + blob_len];
    assert_eq!(oci::digest(compressed), annotation("manifest-checksum"), "the checksum of the TOC");
    let mut json = vec![0; len];
    let written = zstd_safe::decompress(&mut json[..], compressed).map_err(zstd_safe::get_error_name);
    assert_eq!(written, Ok(len), "the length of the TOC");
    let toc: Value = serde_json::from_slice(&json).expect("the TOC is JSON");
    let rows = toc["entries"].as_array().expect("a TOC has entries").iter();
    rows.map(|row| row.as_object().expect("a row is an object").clone()).collect()
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
