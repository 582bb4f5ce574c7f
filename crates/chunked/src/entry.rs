//! What a layer says about one path: the TOC's record of it.

use std::collections::BTreeMap;

use crate::digest::ContentDigest;
use crate::range::{BlobRange, FileRange};

/// The type of a tar member, as far as a layer can hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EntryKind {
    /// A regular file, whiteouts included.
    Regular,
    /// Another name of a file that the same layer holds.
    Hardlink,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
}

/// A point in time: seconds since 1970-01-01T00:00:00Z, negative before, and nanoseconds after that second (below 10^9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp {
    /// Whole seconds, rounded towards the past.
    pub seconds: i64,
    /// Nanoseconds after `seconds`, below 1 000 000 000.
    pub nanoseconds: u32,
}

/// One record of a TOC: a path, its metadata, and for a file with bytes where they are.
///
/// Names and link names are those of the tar, not normalised. The rows of a chunked file are folded into one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What the path is.
    pub kind: EntryKind,
    /// The name as the tar has it: `./a`, `a/` and `/a` are kept.
    pub name: String,
    /// The target of a symbolic or hard link, otherwise empty.
    pub link_name: String,
    /// The header's mode field: permission bits, and whatever else the tar put there.
    pub mode: i64,
    /// The header's size field: bytes of content for a regular file.
    pub size: u64,
    /// Owner.
    pub uid: i64,
    /// Group.
    pub gid: i64,
    /// Time of last modification.
    pub modified: Option<Timestamp>,
    /// Time of last access, where the tar records it.
    pub accessed: Option<Timestamp>,
    /// Time of last status change, where the tar records it.
    pub changed: Option<Timestamp>,
    /// Major device number.
    pub dev_major: i64,
    /// Minor device number.
    pub dev_minor: i64,
    /// Extended attributes, raw values.
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// Where the bytes of a regular file with bytes are; `None` for everything else.
    pub content: Option<Content>,
}

impl Entry {
    /// Starts an entry with no metadata: mode, owner and size 0, no times, no attributes, no content.
    pub fn new(kind: EntryKind, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
            link_name: String::new(),
            mode: 0,
            size: 0,
            uid: 0,
            gid: 0,
            modified: None,
            accessed: None,
            changed: None,
            dev_major: 0,
            dev_minor: 0,
            xattrs: BTreeMap::new(),
            content: None,
        }
    }
}

/// The bytes of one regular file inside a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The digest of the whole file; eStargz and old dialects may leave it out of a chunked file.
    pub digest: Option<ContentDigest>,
    /// The frames of the whole file.
    pub range: BlobRange,
    /// The pieces, at least one, in order, covering the file without gaps.
    pub chunks: Vec<Chunk>,
}

/// A piece of one file, compressed by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Which bytes of the file it holds.
    pub file: FileRange,
    /// Which bytes of the blob hold it. For dialects whose frames go on after the chunk, decoding stops after
    /// `file.len()` bytes.
    pub blob: BlobRange,
    /// Bytes to drop from what `blob` decompresses to before the chunk begins: 0 but for eStargz, which can put several
    /// small files into one gzip member.
    pub inner_offset: u64,
    /// The digest of its content; a file that is a single chunk may leave it to the file's digest.
    pub digest: Option<ContentDigest>,
    /// Whether it is a hole.
    pub kind: ChunkKind,
}

/// Tells data from holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChunkKind {
    /// Bytes that have to be fetched.
    Data,
    /// Zeros only: nothing to fetch, although the blob holds a frame for plain decoders.
    Zeros,
}
