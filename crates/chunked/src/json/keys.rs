use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

/// The keys of one kind of JSON object.
pub(crate) trait Keys: Copy + 'static {
    /// Every key with its name, no more than 32.
    const ALL: &'static [(&'static str, Self)];
}

/// Reads the keys of one object, and lets none come twice.
#[derive(Debug)]
pub(crate) struct KeyReader<K> {
    /// A bit for each key of [`Keys::ALL`] that was there.
    seen: u32,
    keys: PhantomData<K>,
}

impl<K: Keys> KeyReader<K> {
    pub(crate) fn new() -> Self {
        Self { seen: 0, keys: PhantomData }
    }

    /// Reads up to the next key that is known; skips others with their values.
    pub(crate) fn next<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<Option<K>, A::Error> {
        while let Some(Key(found)) = map.next_key::<Key<K>>()? {
            let Some((index, name, key)) = found else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let bit = 1u32.checked_shl(index).unwrap_or_default();
            if self.seen & bit != 0 {
                return Err(de::Error::duplicate_field(name));
            }
            self.seen |= bit;
            return Ok(Some(key));
        }
        Ok(None)
    }
}

/// A key with its place in [`Keys::ALL`] and its name; `None` for one that is not known.
struct Key<K>(Option<(u32, &'static str, K)>);

impl<'de, K: Keys> Deserialize<'de> for Key<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(KeyVisitor(PhantomData))
    }
}

struct KeyVisitor<K>(PhantomData<K>);

impl<K: Keys> Visitor<'_> for KeyVisitor<K> {
    type Value = Key<K>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    // The reference ignores case when it reads a TOC. A key that differs from a known one in case only would mean one
    // thing to it and nothing to us, so it is refused; so is the empty key, at which the reference ends the object.
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Key<K>, E> {
        for (index, (name, key)) in (0..).zip(K::ALL) {
            if *name == text {
                return Ok(Key(Some((index, *name, *key))));
            }
        }
        match K::ALL.iter().find(|(name, _)| folded(name).eq(folded(text))) {
            Some((name, _)) => Err(E::custom(format_args!("key `{text}` is not spelled `{name}`"))),
            None if text.is_empty() => Err(E::custom("a key is empty")),
            None => Ok(Key(None)),
        }
    }
}

fn folded(text: &str) -> impl Iterator<Item = char> {
    let lower = text.chars().flat_map(char::to_lowercase);
    // The long s is lower case already, and still an s where case is ignored.
    lower.map(|character| if character == 'ſ' { 's' } else { character })
}
