/// Names the record of a tar-split stream that is wrong, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {record} of the tar-split {problem}")]
pub struct Invalid {
    /// Counts the records before it.
    pub record: u64,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with one record of a tar-split stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The record alone exceeds the limit on records.
    #[error("is longer than {limit} bytes")]
    RecordTooLong {
        /// The limit.
        limit: u64,
    },
    /// The stream up to here exceeds the limit on the whole.
    #[error("ends beyond the limit of {limit} bytes")]
    StreamTooLong {
        /// The limit.
        limit: u64,
    },
    /// The line is not a JSON object with the fields of a record.
    #[error("is malformed: {0}")]
    Json(String),
    /// The type is neither that of a file nor that of a segment.
    #[error("has type {0}, expected 1 for a file or 2 for a segment")]
    Type(u64),
    /// Records are missing, repeated or out of order.
    #[error("has position {0}")]
    Position(u64),
    /// Binary data is not base64.
    #[error("has a `{field}` that is not base64: {source}")]
    Base64 {
        /// The field of the record.
        field: &'static str,
        /// What is wrong with it.
        source: base64::DecodeSliceError,
    },
    /// The record has both spellings of a name.
    #[error("has both `name` and `name_raw`")]
    TwoNames,
    /// The name exceeds the limit on names.
    #[error("has a name of {len} bytes, the limit is {limit}")]
    NameTooLong {
        /// The length.
        len: usize,
        /// The limit.
        limit: u64,
    },
    /// A file with bytes must have a checksum of 8 bytes.
    #[error("has a checksum of {0} bytes, expected 8")]
    ChecksumLen(usize),
    /// The path is that of an earlier record, which a rebuilt tar could not tell apart.
    #[error("repeats the path `{path}`")]
    DuplicatePath {
        /// The path, shortened.
        path: String,
    },
    /// The segments so far are not those of a tar.
    #[error("is part of an invalid tar: {0}")]
    Tar(crate::tar::Invalid),
    /// A header begins in one segment and ends in another; readers parse every segment by itself.
    #[error("holds only a part of a header")]
    SplitHeader,
    /// A segment after the end of the tar is not all zero blocks; readers look for a header in it.
    #[error("follows the end of the tar and is not all zero blocks")]
    AfterEnd,
    /// A header is not followed by the record of its file.
    #[error("follows the header of `{path}`, expected the record of that file")]
    NoFile {
        /// The path in the header, shortened.
        path: String,
    },
    /// The record of a file does not follow a header.
    #[error("is of the file `{path}`, which has no header before it")]
    NoHeader {
        /// The path in the record, shortened.
        path: String,
    },
    /// The record of a file does not have the name of the header before it.
    #[error("has the name `{path}`, the header before it `{expected}`")]
    OtherName {
        /// The path in the record, shortened.
        path: String,
        /// The path in the header, shortened.
        expected: String,
    },
    /// The record of a file does not have the size of the header before it.
    #[error("has {len} bytes of `{path}`, the header before it {expected}")]
    OtherLen {
        /// The path, shortened.
        path: String,
        /// The size in the record.
        len: u64,
        /// The size in the header.
        expected: u64,
    },
    /// A segment differs from the tar it should rebuild.
    #[error("holds other bytes than the tar")]
    OtherBytes,
    /// The stream ends before the tar does.
    #[error("is missing, the tar goes on")]
    Missing,
    /// The stream does not have the length that was announced.
    #[error("ends the stream after {found} bytes, expected {expected}")]
    StreamLen {
        /// The length announced.
        expected: u64,
        /// The length found.
        found: u64,
    },
    /// The stream goes on beyond the end of the tar.
    #[error("goes on, the tar has ended")]
    Surplus,
    /// The content of a file is not as long as the tar's.
    #[error("needs {expected} bytes of `{path}`, found {found}")]
    ContentLen {
        /// The path, shortened.
        path: String,
        /// The length in the tar.
        expected: u64,
        /// The length found, or one more than expected when there is more.
        found: u64,
    },
    /// The content of a file is not that of the tar.
    #[error("needs `{path}` with CRC-64 {expected:016x}, found {found:016x}")]
    ContentChecksum {
        /// The path, shortened.
        path: String,
        /// The checksum in the tar-split.
        expected: u64,
        /// The checksum of the content found.
        found: u64,
    },
}

/// Makes an untrusted name fit for a message: at most 100 characters, none of them a control character.
pub(crate) fn shorten(name: &[u8]) -> String {
    let visible = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    String::from_utf8_lossy(name.get(..400).unwrap_or(name)).chars().take(100).map(visible).collect()
}
