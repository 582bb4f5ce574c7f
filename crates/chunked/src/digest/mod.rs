//! Digests, and the roles that say what was hashed.
//!
//! A [`Digest`] is the OCI digest string in binary form. Two digests of different things have different types, so that
//! the digest of a compressed blob never passes for the digest of the tar inside it.

mod sha256;
mod sys;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha512};

pub use sha256::{Hasher, digests_of, update_both};

/// Names what is wrong with a digest string.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDigest {
    /// The string has no `:` between algorithm and hexadecimal digits.
    #[error("digest `{0}` is not of the form `algorithm:hex`")]
    Form(String),
    /// The algorithm is not one that OCI registers and this crate computes.
    #[error("digest algorithm `{0}` is not supported, expected sha256 or sha512")]
    Algorithm(String),
    /// The digits are too few, too many, or not lower-case hexadecimal.
    #[error("digest `{0}` does not have the lower-case hexadecimal digits its algorithm asks for")]
    Hex(String),
}

/// Identifies bytes by their SHA-256 or SHA-512, written `sha256:<64 lower-case hexadecimal digits>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Digest {
    /// A SHA-256 digest, the one nearly every image uses.
    Sha256([u8; 32]),
    /// A SHA-512 digest.
    Sha512([u8; 64]),
}

impl Digest {
    /// Hashes `bytes` with SHA-256.
    pub fn of(bytes: &[u8]) -> Self {
        Self::Sha256(sha256(bytes))
    }

    /// Names the algorithm as OCI writes it.
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "sha256",
            Self::Sha512(_) => "sha512",
        }
    }

    /// Writes the digits after the colon, in lower case.
    pub fn hex(&self) -> String {
        hex(self.bytes())
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Sha256(bytes) => bytes,
            Self::Sha512(bytes) => bytes,
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let (algorithm, digits) = text.split_once(':').ok_or_else(|| InvalidDigest::Form(shorten(text)))?;
        let wrong = || InvalidDigest::Hex(shorten(text));
        match algorithm {
            "sha256" => Ok(Self::Sha256(unhex(digits).ok_or_else(wrong)?)),
            "sha512" => Ok(Self::Sha512(unhex(digits).ok_or_else(wrong)?)),
            other => Err(InvalidDigest::Algorithm(shorten(other))),
        }
    }
}

macro_rules! role {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub Digest);

        impl $name {
            /// Hashes `bytes` with SHA-256.
            pub fn of(bytes: &[u8]) -> Self {
                Self(Digest::of(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidDigest;

            fn from_str(text: &str) -> Result<Self, InvalidDigest> {
                text.parse().map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

role! {
    /// The digest of a blob as a registry stores it, compressed.
    BlobDigest
}
role! {
    /// The digest of a layer's plain tar, which the image config commits to.
    DiffId
}
role! {
    /// The digest of a TOC as it is stored: compressed for zstd:chunked, plain for eStargz.
    TocDigest
}
role! {
    /// The digest of a compressed tar-split stream.
    TarSplitDigest
}

/// The SHA-256 of one file's content or of one chunk of it, never compressed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentDigest(pub [u8; 32]);

impl ContentDigest {
    /// Hashes `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha256(bytes))
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex(&self.0))
    }
}

impl fmt::Debug for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentDigest({self})")
    }
}

impl FromStr for ContentDigest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        match text.parse()? {
            Digest::Sha256(bytes) => Ok(Self(bytes)),
            Digest::Sha512(_) => Err(InvalidDigest::Algorithm("sha512".into())),
        }
    }
}

impl Serialize for ContentDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ContentDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Computes a digest with an algorithm known only when it runs.
pub(crate) enum AnyHasher {
    Sha256(Hasher),
    Sha512(Box<Sha512>),
}

impl AnyHasher {
    /// Starts with no bytes hashed, with the algorithm of another digest.
    pub(crate) fn like(digest: &Digest) -> Self {
        match digest {
            Digest::Sha256(_) => Self::Sha256(Hasher::new()),
            Digest::Sha512(_) => Self::Sha512(Box::default()),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Digest {
        match self {
            Self::Sha256(hasher) => hasher.finish(),
            Self::Sha512(hasher) => Digest::Sha512(hasher.finalize().into()),
        }
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hasher = Hasher::new();
    hasher.update(bytes);
    hasher.finish_bytes()
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    let mut digits = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        digits.push(digit(byte >> 4));
        digits.push(digit(*byte));
    }
    digits
}

fn unhex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let digits = digits.as_bytes();
    if digits.len() != N.checked_mul(2)? {
        return None;
    }
    let mut bytes = [0; N];
    let mut all = 0;
    for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks().0) {
        let [high, low] = pair.map(|digit| NIBBLES[usize::from(digit)]);
        all |= high | low;
        *byte = high << 4 | low & 0xf;
    }
    // Looked at once, at the end: TOCs have a hundred thousand digests, and nearly all of them are right.
    (all <= 0xf).then_some(bytes)
}

/// The value of each lower-case hexadecimal digit; more than 15 for what is none.
const NIBBLES: [u8; 256] = {
    let mut nibbles = [0xff; 256];
    let mut value = 0;
    while value < 16 {
        nibbles[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    nibbles
};

/// Keeps hostile strings out of error messages: at most 100 characters, the rest cut.
fn shorten(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn digest_text_round_trips() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        assert_eq!(EMPTY.parse::<Digest>().unwrap(), Digest::of(b""));
        let long = format!("sha512:{}", "0a".repeat(64));
        assert_eq!(long.parse::<Digest>().unwrap().to_string(), long);
    }

    #[test]
    fn malformed_digests_are_refused() {
        for text in ["", "sha256", "sha256:", "sha256:zz", "md5:00", &EMPTY.to_uppercase(), &EMPTY[..70]] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }
}
