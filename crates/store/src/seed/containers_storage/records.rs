//! The lists of a store: `layers.json` and its like.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, DeserializeOwned, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

/// Most records of a list that are read. A busy build machine has some thousands of layers.
const RECORDS_MAX: usize = 100_000;

/// The ID of a layer: 64 lower-case hexadecimal digits, so it can be part of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct LayerId(String);

impl fmt::Display for LayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text that is not the ID of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ID of a layer is not 64 lower-case hexadecimal digits")]
pub struct NotAnId;

impl TryFrom<String> for LayerId {
    type Error = NotAnId;

    fn try_from(text: String) -> Result<Self, NotAnId> {
        let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if text.len() == 64 && is_hex { Ok(Self(text)) } else { Err(NotAnId) }
    }
}

impl From<LayerId> for String {
    fn from(id: LayerId) -> Self {
        id.0
    }
}

impl LayerId {
    /// Returns the digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Reads the JSON of `layers.json` or `volatile-layers.json`: the layers that are complete, in the order of the list,
/// which is that of their making.
///
/// Layers without a proper ID are left out. The caller bounds the length of the JSON.
///
/// # Errors
/// Those of [`list`].
pub fn parse(json: &[u8]) -> Result<Vec<LayerId>, serde_json::Error> {
    let complete = list::<Record>(json)?.into_iter().filter(Record::is_complete);
    Ok(complete.filter_map(|record| LayerId::try_from(record.id).ok()).collect())
}

/// Reads the JSON of a list of a store. The caller bounds its length.
///
/// # Errors
/// Those of the parser, for JSON that is no list of such records, or of more than 100 000.
pub fn list<T: DeserializeOwned>(json: &[u8]) -> Result<Vec<T>, serde_json::Error> {
    let Records(records) = serde_json::from_slice(json)?;
    Ok(records)
}

struct Records<T>(Vec<T>);

/// A layer as it is listed.
#[derive(Debug, Deserialize)]
struct Record {
    #[serde(default)]
    id: String,
    flags: Option<Flags>,
}

#[derive(Debug, Deserialize)]
struct Flags {
    /// Whether it is being made, or its making was interrupted; podman deletes it then.
    incomplete: Option<bool>,
}

impl Record {
    fn is_complete(&self) -> bool {
        !self.flags.as_ref().and_then(|flags| flags.incomplete).unwrap_or(false)
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Records<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RecordsVisitor(PhantomData))
    }
}

struct RecordsVisitor<T>(PhantomData<T>);

impl<'de, T: DeserializeOwned> Visitor<'de> for RecordsVisitor<T> {
    type Value = Records<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Records<T>, A::Error> {
        let mut records = Vec::new();
        while let Some(record) = sequence.next_element()? {
            if records.len() == RECORDS_MAX {
                return Err(de::Error::custom(format_args!("it lists more than {RECORDS_MAX}")));
            }
            records.push(record);
        }
        Ok(Records(records))
    }

    // Go writes a list that was never filled as `null`.
    fn visit_unit<E: de::Error>(self) -> Result<Records<T>, E> {
        Ok(Records(Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(json: &str) -> Vec<String> {
        parse(json.as_bytes()).unwrap().into_iter().map(|id| id.0).collect()
    }

    #[test]
    fn layers_come_in_the_order_of_the_list() {
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        // As podman 5.8 writes it, shortened.
        let json = format!(
            r#"[{{"id":"{b}","created":"2026-11-22T06:39:16.163307892Z","diff-size":8622080,"uidset":[0],
               "big-data-names":["zstd-chunked-manifest"]}},
               {{"id":"{a}","parent":"{b}","flags":{{"expected-layer-diffid":"sha256:00"}}}}]"#
        );
        assert_eq!(ids(&json), [b, a]);
    }

    #[test]
    fn what_is_being_made_or_has_no_proper_name_is_left_out() {
        let a = "a".repeat(64);
        let odd = format!(
            r#"[{{"id":"{a}","flags":{{"incomplete":true}}}}, {{"id":"../../etc"}}, {{"id":"{}"}}, {{}},
               {{"id":"{}"}}, {{"id":"{a}","flags":null}}]"#,
            "A".repeat(64),
            "a".repeat(65)
        );
        assert_eq!(ids(&odd), [a]);
        assert_eq!(ids("[]"), ids("null"));
    }

    #[test]
    fn other_json_is_an_error() {
        for text in ["", "{}", "[1]", "[{}", r#"[{"id":1}]"#] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        let many = format!("[{}{{}}]", format!(r#"{{"id":"{}"}},"#, "a".repeat(64)).repeat(RECORDS_MAX + 1));
        let error = parse(many.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("it lists more than 100000"), "{error}");
    }
}
