use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use super::{Problem, Record};
use crate::json::{KeyReader, Keys};

/// A record as JSON has it. What is left out or `null` is empty or 0.
#[derive(Debug, Default)]
pub(super) struct Row<'a> {
    kind: u64,
    name: Cow<'a, str>,
    name_raw: &'a str,
    size: u64,
    payload: &'a str,
    pub(super) position: u64,
}

#[derive(Debug, Clone, Copy)]
enum Field {
    Type,
    Name,
    NameRaw,
    Size,
    Payload,
    Position,
}

impl Keys for Field {
    const ALL: &'static [(&'static str, Self)] = &[
        ("type", Self::Type),
        ("name", Self::Name),
        ("name_raw", Self::NameRaw),
        ("size", Self::Size),
        ("payload", Self::Payload),
        ("position", Self::Position),
    ];
}

impl<'de> Deserialize<'de> for Row<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RowVisitor)
    }
}

struct RowVisitor;

impl<'de> Visitor<'de> for RowVisitor {
    type Value = Row<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row<'de>, A::Error> {
        let mut row = Row::default();
        let (mut has_type, mut has_position) = (false, false);
        let mut keys = KeyReader::new();
        while let Some(field) = keys.next(&mut map)? {
            match field {
                Field::Type => (row.kind, has_type) = (map.next_value()?, true),
                Field::Name => row.name = map.next_value::<Text<'_>>()?.0,
                Field::NameRaw => row.name_raw = optional(&mut map)?,
                Field::Size => row.size = optional(&mut map)?,
                Field::Payload => row.payload = optional(&mut map)?,
                Field::Position => (row.position, has_position) = (map.next_value()?, true),
            }
        }
        match (has_type, has_position) {
            (true, true) => Ok(row),
            (false, _) => Err(de::Error::missing_field("type")),
            (true, false) => Err(de::Error::missing_field("position")),
        }
    }
}

/// A string that is borrowed from the JSON unless it has escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn optional<'de, T: Deserialize<'de> + Default, A: MapAccess<'de>>(map: &mut A) -> Result<T, A::Error> {
    Ok(map.next_value::<Option<T>>()?.unwrap_or_default())
}

impl<'a> Row<'a> {
    /// Interprets the fields; binary data is put into `buffer`.
    pub(super) fn decode<'b>(self, buffer: &'b mut Vec<u8>) -> Result<Record<'b>, Problem>
    where
        'a: 'b,
    {
        match self.kind {
            1 => self.file(buffer),
            2 => Ok(Record::Segment(base64("payload", self.payload, buffer)?)),
            other => Err(Problem::Type(other)),
        }
    }

    fn file<'b>(self, buffer: &'b mut Vec<u8>) -> Result<Record<'b>, Problem>
    where
        'a: 'b,
    {
        let crc64 = match self.size {
            0 => None,
            _ => Some(checksum(self.payload, buffer)?),
        };
        let name = match (self.name, self.name_raw) {
            (Cow::Borrowed(text), "") => Cow::Borrowed(text.as_bytes()),
            (Cow::Owned(text), "") => Cow::Owned(text.into_bytes()),
            (text, raw) if text.is_empty() => Cow::Borrowed(base64("name_raw", raw, buffer)?),
            _ => return Err(Problem::TwoNames),
        };
        Ok(Record::File { name, len: self.size, crc64 })
    }
}

fn checksum(payload: &str, buffer: &mut Vec<u8>) -> Result<u64, Problem> {
    let bytes = base64("payload", payload, buffer)?;
    let bytes = bytes.try_into().map_err(|_| Problem::ChecksumLen(bytes.len()))?;
    Ok(u64::from_be_bytes(bytes))
}

fn base64<'b>(field: &'static str, text: &str, buffer: &'b mut Vec<u8>) -> Result<&'b [u8], Problem> {
    buffer.resize(base64::decoded_len_estimate(text.len()), 0);
    let len = STANDARD.decode_slice(text, buffer).map_err(|source| Problem::Base64 { field, source })?;
    Ok(buffer.get(..len).unwrap_or_default())
}
