use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, Visitor};

use super::Problem;
use super::row::Text;
use crate::limits::Limits;

/// How many extended attributes a row has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Attributes {
    pub(super) count: u64,
    /// Bytes of names and values.
    len: u64,
}

impl Attributes {
    fn add(&mut self, name: &str, value: &[u8]) {
        self.count = self.count.saturating_add(1);
        self.len = self.len.saturating_add(name.len() as u64).saturating_add(value.len() as u64);
    }

    /// Tells whether these are more than a row may have.
    pub(super) fn check(&self, limits: &Limits) -> Result<(), Problem> {
        if self.count > limits.attributes {
            let (found, limit) = (self.count, limits.attributes);
            return Err(Problem::TooManyAttributes { place: "the row", found, limit });
        }
        if self.len > limits.attributes_len {
            let (len, limit) = (self.len, limits.attributes_len);
            return Err(Problem::TooLong { what: "list of extended attributes", len, limit });
        }
        Ok(())
    }
}

/// Reads the extended attributes of a row. Those beyond the limits are counted and not kept.
pub(super) struct AttributesSeed<'l>(pub(super) &'l Limits);

impl<'de> DeserializeSeed<'de> for AttributesSeed<'_> {
    type Value = (BTreeMap<String, Vec<u8>>, Attributes);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AttributesSeed<'_> {
    type Value = (BTreeMap<String, Vec<u8>>, Attributes);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of extended attributes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut kept, mut found) = (BTreeMap::new(), Attributes::default());
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(Text(parse_base64))?;
            if name.is_empty() {
                return Err(de::Error::custom("an extended attribute has no name"));
            }
            found.add(&name, &value);
            if found.check(self.0).is_ok() && kept.insert(name, value).is_some() {
                return Err(de::Error::custom("an extended attribute comes twice"));
            }
        }
        Ok((kept, found))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok((BTreeMap::new(), Attributes::default()))
    }
}

fn parse_base64(text: &str) -> Result<Vec<u8>, &'static str> {
    STANDARD.decode(text).map_err(|_| "the value of an extended attribute is not base64")
}
