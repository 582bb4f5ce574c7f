/// Says why a TOC is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The footer of an eStargz blob leads to something else.
    #[error("the tar has no member `{}` where the footer says", super::TOC_NAME)]
    NoMember,
    /// It is not JSON, or not of the shape of a TOC.
    #[error("the TOC is malformed: {0}")]
    Malformed(String),
    /// It has a version that this program does not know.
    #[error("the TOC has version {0}, expected 1")]
    Version(u64),
    /// A key that every TOC has is not there.
    #[error("the TOC has no key `{0}`")]
    Missing(&'static str),
    /// It decompresses to more than the limit, or than was announced.
    #[error("the TOC is longer than {limit} bytes")]
    TooLong {
        /// Bytes allowed.
        limit: u64,
    },
    /// It decompresses to less than was announced.
    #[error("the TOC is {found} bytes long, expected {expected}")]
    Len {
        /// Bytes announced.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// It has more rows than the limit.
    #[error("the TOC has more than {limit} rows")]
    TooManyRows {
        /// Rows allowed.
        limit: u64,
    },
    /// One of its strings is longer than the limit.
    #[error("the TOC holds a string of more than {limit} bytes")]
    StringTooLong {
        /// Bytes allowed.
        limit: u64,
    },
    /// Its brackets nest deeper than those of any TOC.
    #[error("the TOC nests deeper than {limit} brackets")]
    TooDeep {
        /// Brackets allowed.
        limit: u32,
    },
    /// A row contradicts others, or the blob.
    #[error("row {row} of the TOC, `{}`: {problem}", name.escape_debug())]
    Row {
        /// Which row, counted from 0.
        row: u64,
        /// The name in that row, shortened.
        name: String,
        /// What is wrong.
        problem: Problem,
    },
}

impl Invalid {
    /// Tells whether the TOC may be fine and merely is more than this program takes.
    pub fn is_unsupported(&self) -> bool {
        match self {
            Self::Version(_) | Self::TooManyRows { .. } | Self::StringTooLong { .. } => true,
            Self::Row { problem: Problem::TooLong { .. } | Problem::TooManyAttributes { .. }, .. } => true,
            Self::Malformed(_) | Self::Missing(_) | Self::TooDeep { .. } | Self::Row { .. } => false,
            Self::TooLong { .. } | Self::Len { .. } | Self::NoMember => false,
        }
    }
}

/// Says what is wrong with one row of a TOC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A string that becomes a path or a name holds a NUL.
    #[error("the {0} contains a NUL byte")]
    Nul(&'static str),
    /// A string is longer than the limit.
    #[error("the {what} is {len} bytes long, the limit is {limit}")]
    TooLong {
        /// What it is.
        what: &'static str,
        /// Its length.
        len: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// There are more extended attributes than the limit.
    #[error("{found} extended attributes in {place}, expected no more than {limit}")]
    TooManyAttributes {
        /// Where: in the row, or in the TOC so far.
        place: &'static str,
        /// How many.
        found: u64,
        /// How many are allowed.
        limit: u64,
    },
    /// A chunk does not come right after its file or another chunk of it.
    #[error("the chunk does not follow its file")]
    ChunkWithoutFile,
    /// A file with bytes has no place in the blob.
    #[error("the file has bytes but no offset in the blob")]
    NoOffset,
    /// A file has a place in a blob, and there is no blob.
    #[error("the data is at byte {found} of a blob, expected no place")]
    Placed {
        /// The offset.
        found: u64,
    },
    /// A chunk leaves a gap in the file, or covers a byte twice.
    #[error("the chunk starts at byte {found} of the file, expected {expected}")]
    NotContiguous {
        /// Where the chunk before it ends.
        expected: u64,
        /// Where it starts.
        found: u64,
    },
    /// A chunk is empty, or goes beyond the end of the file.
    #[error("a chunk of {len} bytes at byte {start} does not fit a file of {size}")]
    ChunkLen {
        /// Its first byte in the file.
        start: u64,
        /// Its length.
        len: u64,
        /// Bytes of the file.
        size: u64,
    },
    /// The chunks of a file end before the file does.
    #[error("the chunks cover {covered} of {size} bytes")]
    Incomplete {
        /// Bytes the chunks cover.
        covered: u64,
        /// Bytes of the file.
        size: u64,
    },
    /// Data lies before data of an earlier row, or in the midst of it.
    #[error("the data starts at byte {found} of the blob, expected {expected} or later")]
    Overlap {
        /// Where it could start.
        expected: u64,
        /// Where it starts.
        found: u64,
    },
    /// Data lies before that of an earlier row in the frame they share.
    #[error("the data starts {found} bytes into what its frame holds, expected {expected} or later")]
    InnerOverlap {
        /// Where it could start.
        expected: u64,
        /// Where it starts.
        found: u64,
    },
    /// Data lies beyond the part of the blob that can hold it.
    #[error("the data reaches byte {found} of the blob, expected no more than {limit}")]
    Outside {
        /// Where it ends or, if that is not known, where its first byte does.
        found: u64,
        /// Where it must have ended.
        limit: u64,
    },
}
