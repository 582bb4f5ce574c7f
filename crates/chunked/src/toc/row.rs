use std::fmt::{self, Display};

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};

use super::attributes::{Attributes, AttributesSeed};
use super::instant;
use crate::digest::{ContentDigest, InvalidDigest};
use crate::entry::{ChunkKind, Entry, EntryKind};
use crate::json::{KeyReader, Keys};
use crate::limits::Limits;

/// One row of a TOC as JSON has it: an entry with its first chunk, or a further chunk of the entry before it.
///
/// A number that is left out is 0, and so is one that is `null`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// Whether this is a further chunk; then all that counts of `entry` is its name.
    pub(super) is_chunk: bool,
    /// The metadata, without content.
    pub(super) entry: Entry,
    /// How many extended attributes it has. Those beyond the limits are counted, and are not in `entry`.
    pub(super) attributes: Attributes,
    /// The digest of the whole file.
    pub(super) digest: Option<ContentDigest>,
    /// Where the data starts in the blob.
    pub(super) offset: u64,
    /// Where the data of the whole file ends in the blob.
    pub(super) end_offset: u64,
    /// Bytes before the data in what is decompressed from `offset` on.
    pub(super) inner_offset: u64,
    /// Bytes of the chunk; 0 for all that is left of the file.
    pub(super) chunk_size: u64,
    /// Where the chunk starts in the file.
    pub(super) chunk_offset: u64,
    /// The digest of the chunk.
    pub(super) chunk_digest: Option<ContentDigest>,
    /// Whether the chunk is a hole.
    pub(super) chunk_kind: ChunkKind,
}

#[derive(Debug, Clone, Copy)]
enum Field {
    Type,
    Name,
    LinkName,
    Mode,
    Size,
    Uid,
    Gid,
    Modified,
    Accessed,
    Changed,
    DevMajor,
    DevMinor,
    Xattrs,
    Digest,
    Offset,
    EndOffset,
    InnerOffset,
    ChunkSize,
    ChunkOffset,
    ChunkDigest,
    ChunkType,
}

impl Keys for Field {
    const ALL: &'static [(&'static str, Self)] = &[
        ("type", Self::Type),
        ("name", Self::Name),
        ("linkName", Self::LinkName),
        ("mode", Self::Mode),
        ("size", Self::Size),
        ("uid", Self::Uid),
        ("gid", Self::Gid),
        ("modtime", Self::Modified),
        ("accesstime", Self::Accessed),
        ("changetime", Self::Changed),
        ("devMajor", Self::DevMajor),
        ("devMinor", Self::DevMinor),
        ("xattrs", Self::Xattrs),
        ("digest", Self::Digest),
        ("offset", Self::Offset),
        ("endOffset", Self::EndOffset),
        ("innerOffset", Self::InnerOffset),
        ("chunkSize", Self::ChunkSize),
        ("chunkOffset", Self::ChunkOffset),
        ("chunkDigest", Self::ChunkDigest),
        ("chunkType", Self::ChunkType),
    ];
}

/// Reads a row.
pub(super) struct RowSeed<'l>(pub(super) &'l Limits);

impl<'de> DeserializeSeed<'de> for RowSeed<'_> {
    type Value = Row;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Row, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RowSeed<'_> {
    type Value = Row;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row of a TOC")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
        let mut row = Row::empty();
        let (mut kind, mut name) = (None, None);
        let mut keys = KeyReader::new();
        while let Some(field) = keys.next(&mut map)? {
            match field {
                Field::Type => kind = Some(map.next_value_seed(Text(parse_type))?),
                Field::Name => name = Some(map.next_value_seed(Text(owned))?),
                Field::Xattrs => {
                    (row.entry.xattrs, row.attributes) = map.next_value_seed(AttributesSeed(self.0))?;
                }
                _ => row.set(field, &mut map)?,
            }
        }
        let kind = kind.flatten().ok_or_else(|| de::Error::missing_field("type"))?;
        row.entry.name = name.ok_or_else(|| de::Error::missing_field("name"))?;
        match kind {
            RowKind::Entry(kind) => row.entry.kind = kind,
            RowKind::Chunk => row.is_chunk = true,
        }
        Ok(row)
    }
}

impl Row {
    fn empty() -> Self {
        Self {
            is_chunk: false,
            entry: Entry::new(EntryKind::Regular, ""),
            attributes: Attributes::default(),
            digest: None,
            offset: 0,
            end_offset: 0,
            inner_offset: 0,
            chunk_size: 0,
            chunk_offset: 0,
            chunk_digest: None,
            chunk_kind: ChunkKind::Data,
        }
    }

    fn set<'de, A: MapAccess<'de>>(&mut self, field: Field, map: &mut A) -> Result<(), A::Error> {
        let entry = &mut self.entry;
        match field {
            Field::Type | Field::Name | Field::Xattrs => {}
            Field::LinkName => entry.link_name = map.next_value_seed(Text(owned))?,
            Field::Mode => entry.mode = number(map)?,
            Field::Size => entry.size = number(map)?,
            Field::Uid => entry.uid = number(map)?,
            Field::Gid => entry.gid = number(map)?,
            Field::Modified => entry.modified = map.next_value_seed(Text(instant::parse))?,
            Field::Accessed => entry.accessed = map.next_value_seed(Text(instant::parse))?,
            Field::Changed => entry.changed = map.next_value_seed(Text(instant::parse))?,
            Field::DevMajor => entry.dev_major = number(map)?,
            Field::DevMinor => entry.dev_minor = number(map)?,
            Field::Digest => self.digest = map.next_value_seed(Text(parse_digest))?,
            Field::Offset => self.offset = number(map)?,
            Field::EndOffset => self.end_offset = number(map)?,
            Field::InnerOffset => self.inner_offset = number(map)?,
            Field::ChunkSize => self.chunk_size = number(map)?,
            Field::ChunkOffset => self.chunk_offset = number(map)?,
            Field::ChunkDigest => self.chunk_digest = map.next_value_seed(Text(parse_digest))?,
            Field::ChunkType => {
                self.chunk_kind = map.next_value_seed(Text(parse_chunk_kind))?.unwrap_or(ChunkKind::Data);
            }
        }
        Ok(())
    }
}

fn number<'de, T: Deserialize<'de> + Default, A: MapAccess<'de>>(map: &mut A) -> Result<T, A::Error> {
    Ok(map.next_value::<Option<T>>()?.unwrap_or_default())
}

#[derive(Debug, Clone, Copy)]
enum RowKind {
    Entry(EntryKind),
    Chunk,
}

fn parse_type(text: &str) -> Result<Option<RowKind>, String> {
    Ok(Some(RowKind::Entry(match text {
        "reg" => EntryKind::Regular,
        "hardlink" => EntryKind::Hardlink,
        "symlink" => EntryKind::Symlink,
        "char" => EntryKind::CharDevice,
        "block" => EntryKind::BlockDevice,
        "dir" => EntryKind::Directory,
        "fifo" => EntryKind::Fifo,
        "chunk" => return Ok(Some(RowKind::Chunk)),
        other => return Err(format!("type `{other}` is not known")),
    })))
}

fn parse_digest(text: &str) -> Result<Option<ContentDigest>, InvalidDigest> {
    // The first writers did not leave out what is empty.
    if text.is_empty() { Ok(None) } else { text.parse().map(Some) }
}

fn parse_chunk_kind(text: &str) -> Result<Option<ChunkKind>, String> {
    match text {
        "" => Ok(None),
        "zeros" => Ok(Some(ChunkKind::Zeros)),
        other => Err(format!("chunk type `{other}` is not known")),
    }
}

fn owned(text: &str) -> Result<String, std::convert::Infallible> {
    Ok(text.to_owned())
}

/// A string that a function parses without owning it; `null` is the default.
pub(super) struct Text<F>(pub(super) F);

impl<'de, T: Default, E: Display, F: Fn(&str) -> Result<T, E>> DeserializeSeed<'de> for Text<F> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<T: Default, E: Display, F: Fn(&str) -> Result<T, E>> Visitor<'_> for Text<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<D: de::Error>(self, text: &str) -> Result<T, D> {
        (self.0)(text).map_err(D::custom)
    }

    fn visit_unit<D: de::Error>(self) -> Result<T, D> {
        Ok(T::default())
    }
}
