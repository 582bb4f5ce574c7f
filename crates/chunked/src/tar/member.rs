//! What the headers of one tar member say, extensions applied.

use std::collections::BTreeMap;

use super::header::{BLOCK_LEN, Header};
use super::{Extensions, Invalid, Sparse};
use crate::entry::{Entry, EntryKind, Timestamp};

/// Longest path the kernel takes, without its NUL (`PATH_MAX` - 1): a longer name can never be unpacked.
const LONGEST_PATH: usize = 4095;

/// Longest name of an extended attribute (`XATTR_NAME_MAX`).
const LONGEST_ATTRIBUTE_NAME: usize = 255;

/// Largest value of an extended attribute (`XATTR_SIZE_MAX`).
const LARGEST_ATTRIBUTE: usize = 65536;

/// Most extended attributes of a file, and most bytes of them, that every reader of a TOC takes.
const MOST_ATTRIBUTES: usize = 1000;
const ATTRIBUTES_LEN: usize = 1 << 20;

/// Years a TOC can express, as seconds: 0000-01-01 up to but not including 10000-01-01, as RFC 3339 has four digits.
const EXPRESSIBLE_SECONDS: std::ops::Range<i64> = -62_167_219_200..253_402_300_800;

/// One tar member: its headers merged as Go's `archive/tar` merges them. Names are raw bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The type, never NUL: a NUL typeflag has become `0` or `5`.
    pub typeflag: u8,
    /// The name.
    pub name: Vec<u8>,
    /// The target of a symbolic or hard link.
    pub link_name: Vec<u8>,
    /// Mode.
    pub mode: i64,
    /// Owner.
    pub uid: i64,
    /// Group.
    pub gid: i64,
    /// The size field; for a type without payload it may still be set.
    pub size: u64,
    /// Time of last modification.
    pub modified: Timestamp,
    /// Time of last access.
    pub accessed: Option<Timestamp>,
    /// Time of last status change.
    pub changed: Option<Timestamp>,
    /// Major device number.
    pub dev_major: i64,
    /// Minor device number.
    pub dev_minor: i64,
    /// Extended attributes.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// How it is stored, if it is a sparse file. Then `size` is that of the payload.
    pub sparse: Option<Sparse>,
}

/// Says why a member has no faithful place in a TOC. A layer that holds one becomes plain zstd.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfaithful {
    /// The member type has no TOC type.
    #[error("{} has the tar type `{}`, which a TOC cannot express", show(name), typeflag.escape_ascii())]
    Type {
        /// Name of the member.
        name: Vec<u8>,
        /// Its typeflag.
        typeflag: u8,
    },
    /// A pax global header changes every later member.
    #[error("the tar has a pax global header")]
    GlobalHeader,
    /// The payload is a map of holes and data.
    #[error("{} is stored as a sparse file", show(.0))]
    Sparse(Vec<u8>),
    /// A name is not UTF-8, so JSON cannot hold it.
    #[error("the {what} of {} is not UTF-8", show(name))]
    NotUtf8 {
        /// Name of the member.
        name: Vec<u8>,
        /// Which of its strings: name, link name, extended attribute name.
        what: &'static str,
    },
    /// The name is empty.
    #[error("a member has an empty name")]
    NoName,
    /// The name or link name is longer than any system can unpack.
    #[error("the {what} of {} is {len} bytes long, more than {LONGEST_PATH}", show(name))]
    TooLong {
        /// Name of the member.
        name: Vec<u8>,
        /// Which of its strings.
        what: &'static str,
        /// Its length.
        len: usize,
    },
    /// An extended attribute has no name, or is larger than the kernel takes.
    #[error("{} has an extended attribute without a name or larger than the kernel takes", show(.0))]
    Attribute(Vec<u8>),
    /// There are more extended attributes than readers of a TOC take.
    #[error(
        "{} has {count} extended attributes of {len} bytes, readers take {MOST_ATTRIBUTES} of {ATTRIBUTES_LEN} bytes",
        show(name)
    )]
    Attributes {
        /// Name of the member.
        name: Vec<u8>,
        /// How many there are.
        count: usize,
        /// Bytes of their names and values.
        len: usize,
    },
    /// A type that has no payload claims a size.
    #[error("{} has no payload but the size {size}", show(name))]
    SizeWithoutPayload {
        /// Name of the member.
        name: Vec<u8>,
        /// The size claimed.
        size: u64,
    },
    /// A time lies outside the years 0 to 9999.
    #[error("{} has a time outside the years 0 to 9999", show(.0))]
    Time(Vec<u8>),
}

impl Member {
    pub(super) fn new(header: Header, extensions: Extensions) -> Result<Self, Invalid> {
        let Extensions { pax, long_name, long_link, .. } = extensions;
        let sparse_name = pax.sparse.as_ref().and_then(|sparse| nonempty(Some(sparse.name.clone())));
        let name = sparse_name.or(nonempty(long_name)).or(pax.path).unwrap_or(header.name);
        let typeflag = match header.typeflag {
            0 if name.last() == Some(&b'/') => b'5',
            0 => b'0',
            other => other,
        };
        if header.size < 0 {
            return Err(Invalid::Number("size"));
        }
        let size = pax.size.unwrap_or(header.size);
        let size = u64::try_from(size).map_err(|_| Invalid::Number("size"))?;
        let whole = |seconds| Timestamp { seconds, nanoseconds: 0 };
        Ok(Self {
            typeflag,
            name,
            link_name: nonempty(long_link).or(pax.link_path).unwrap_or(header.link_name),
            mode: header.mode,
            uid: pax.uid.unwrap_or(header.uid),
            gid: pax.gid.unwrap_or(header.gid),
            size,
            modified: pax.modified.unwrap_or(whole(header.modified)),
            accessed: pax.accessed.or(header.accessed.map(whole)),
            changed: pax.changed.or(header.changed.map(whole)),
            dev_major: header.dev_major,
            dev_minor: header.dev_minor,
            xattrs: pax.xattrs,
            sparse: pax.sparse.map(|records| records.sparse(size)),
        })
    }

    /// Returns the bytes of payload that follow the headers, without padding.
    pub fn payload_len(&self) -> u64 {
        if matches!(self.typeflag, b'1'..=b'6') { 0 } else { self.size }
    }

    /// Returns the bytes of padding after the payload.
    pub fn padding_len(&self) -> usize {
        let over = self.payload_len() % BLOCK_LEN as u64;
        (BLOCK_LEN as u64 - over) as usize % BLOCK_LEN
    }

    /// Turns the member into the entry a TOC would hold, content not yet known.
    ///
    /// # Errors
    /// [`Unfaithful`] when the entry would not say what the member says, or could not be pulled.
    pub fn to_entry(&self) -> Result<Entry, Unfaithful> {
        let name = || self.name.clone();
        if self.typeflag == b'g' {
            return Err(Unfaithful::GlobalHeader);
        }
        if self.sparse.is_some() {
            return Err(Unfaithful::Sparse(name()));
        }
        let kind = self.kind().ok_or_else(|| Unfaithful::Type { name: name(), typeflag: self.typeflag })?;
        if kind != EntryKind::Regular && self.size != 0 {
            return Err(Unfaithful::SizeWithoutPayload { name: name(), size: self.size });
        }
        let times = [Some(self.modified), self.accessed, self.changed];
        if times.iter().flatten().any(|time| !EXPRESSIBLE_SECONDS.contains(&time.seconds)) {
            return Err(Unfaithful::Time(name()));
        }
        Ok(Entry {
            kind,
            name: self.path(&self.name, "name")?,
            link_name: self.path(&self.link_name, "link name")?,
            mode: self.mode,
            size: self.size,
            uid: self.uid,
            gid: self.gid,
            modified: Some(self.modified),
            accessed: self.accessed,
            changed: self.changed,
            dev_major: self.dev_major,
            dev_minor: self.dev_minor,
            xattrs: self.utf8_xattrs()?,
            content: None,
        })
    }

    /// Becomes what unpackers take the member for, where [`to_entry`](Self::to_entry) refuses details that they pass over: a
    /// contiguous or sparse file is a regular one, a size without payload counts for nothing, and a time that no TOC can express
    /// is the nearest that it can.
    pub(crate) fn relax(&mut self) {
        if matches!(self.typeflag, b'7' | b'S') {
            self.typeflag = b'0';
        }
        self.size = self.payload_len();
        for time in [Some(&mut self.modified), self.accessed.as_mut(), self.changed.as_mut()] {
            let Some(time) = time.filter(|time| !EXPRESSIBLE_SECONDS.contains(&time.seconds)) else {
                continue;
            };
            let last = EXPRESSIBLE_SECONDS.end.saturating_sub(1);
            let seconds = time.seconds.clamp(EXPRESSIBLE_SECONDS.start, last);
            *time = Timestamp { seconds, nanoseconds: 0 };
        }
    }

    /// Returns the TOC's type for the member; `None` when there is none.
    pub fn kind(&self) -> Option<EntryKind> {
        Some(match self.typeflag {
            b'0' => EntryKind::Regular,
            b'1' => EntryKind::Hardlink,
            b'2' => EntryKind::Symlink,
            b'3' => EntryKind::CharDevice,
            b'4' => EntryKind::BlockDevice,
            b'5' => EntryKind::Directory,
            b'6' => EntryKind::Fifo,
            _ => return None,
        })
    }

    fn path(&self, bytes: &[u8], what: &'static str) -> Result<String, Unfaithful> {
        if bytes.len() > LONGEST_PATH {
            return Err(Unfaithful::TooLong { name: self.name.clone(), what, len: bytes.len() });
        }
        if self.name.is_empty() {
            return Err(Unfaithful::NoName);
        }
        self.utf8(bytes, what)
    }

    fn utf8(&self, bytes: &[u8], what: &'static str) -> Result<String, Unfaithful> {
        let text = std::str::from_utf8(bytes);
        text.map(str::to_owned).map_err(|_| Unfaithful::NotUtf8 { name: self.name.clone(), what })
    }

    fn utf8_xattrs(&self) -> Result<BTreeMap<String, Vec<u8>>, Unfaithful> {
        let impossible = |(key, value): (&Vec<u8>, &Vec<u8>)| {
            key.is_empty() || key.len() > LONGEST_ATTRIBUTE_NAME || value.len() > LARGEST_ATTRIBUTE
        };
        if self.xattrs.iter().any(impossible) {
            return Err(Unfaithful::Attribute(self.name.clone()));
        }
        let (count, pairs) = (self.xattrs.len(), self.xattrs.iter());
        let len = pairs.clone().map(|(key, value)| key.len().saturating_add(value.len()));
        let len = len.fold(0, usize::saturating_add);
        if count > MOST_ATTRIBUTES || len > ATTRIBUTES_LEN {
            return Err(Unfaithful::Attributes { name: self.name.clone(), count, len });
        }
        pairs.map(|(key, value)| Ok((self.utf8(key, "extended attribute name")?, value.clone()))).collect()
    }
}

fn nonempty(name: Option<Vec<u8>>) -> Option<Vec<u8>> {
    name.filter(|name| !name.is_empty())
}

/// Quotes a name for a message: not UTF-8 as escapes, long names cut.
fn show(name: &[u8]) -> String {
    const SHOWN: usize = 120;
    let start = name.get(..SHOWN).unwrap_or(name);
    let cut = if start.len() < name.len() { "..." } else { "" };
    match std::str::from_utf8(name) {
        Ok(_) => format!("`{}{cut}`", String::from_utf8_lossy(start)),
        Err(_) => format!("`{}{cut}`", start.escape_ascii()),
    }
}
