//! The list of a store's layers: `layers.json`.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

/// Most layers of a list that are read. A busy build machine has some thousands.
const LAYERS_MAX: usize = 100_000;

/// The ID of a layer: 64 lower-case hexadecimal digits, so it can be part of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LayerId(String);

impl LayerId {
    fn parse(text: String) -> Option<Self> {
        let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (text.len() == 64 && is_hex).then_some(Self(text))
    }

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
/// Those of the parser, for JSON that is no such list or lists more than 100 000 layers.
pub fn parse(json: &[u8]) -> Result<Vec<LayerId>, serde_json::Error> {
    let Records(layers) = serde_json::from_slice(json)?;
    Ok(layers)
}

struct Records(Vec<LayerId>);

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

impl<'de> Deserialize<'de> for Records {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RecordsVisitor)
    }
}

struct RecordsVisitor;

impl<'de> Visitor<'de> for RecordsVisitor {
    type Value = Records;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of layers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut records: A) -> Result<Records, A::Error> {
        let mut layers = Vec::new();
        while let Some(record) = records.next_element::<Record>()? {
            if layers.len() == LAYERS_MAX {
                return Err(de::Error::custom(format_args!("it lists more than {LAYERS_MAX} layers")));
            }
            if record.is_complete() {
                layers.extend(LayerId::parse(record.id));
            }
        }
        Ok(Records(layers))
    }

    // Go writes a list that was never filled as `null`.
    fn visit_unit<E: de::Error>(self) -> Result<Records, E> {
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
        let many = format!("[{}{{}}]", format!(r#"{{"id":"{}"}},"#, "a".repeat(64)).repeat(LAYERS_MAX + 1));
        let error = parse(many.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("it lists more than 100000 layers"), "{error}");
    }
}
