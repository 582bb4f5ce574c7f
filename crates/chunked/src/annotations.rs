//! What a layer's descriptor says about its TOC.
//!
//! The annotations are covered by the manifest's digest, so the TOC digest they hold is what makes a TOC trustworthy.

use std::collections::BTreeMap;

use crate::digest::{InvalidDigest, TarSplitDigest, TocDigest};
use crate::location::{Located, Location, TOC_TYPE};

const TOC_DIGEST: &str = "io.github.containers.zstd-chunked.manifest-checksum";
const TOC_POSITION: &str = "io.github.containers.zstd-chunked.manifest-position";
const TAR_SPLIT_POSITION: &str = "io.github.containers.zstd-chunked.tarsplit-position";
const TAR_SPLIT_DIGEST: &str = "io.github.containers.zstd-chunked.tarsplit-checksum";
const OLD_TOC_DIGEST: &str = "io.containers.zstd-chunked.manifest-checksum";
const OLD_TOC_POSITION: &str = "io.containers.zstd-chunked.manifest-position";
const ESTARGZ_TOC_DIGEST: &str = "containerd.io/snapshot/stargz/toc.digest";
const ESTARGZ_TAR_LEN: &str = "io.containers.estargz.uncompressed-size";

/// Every key that describes the compressed form of a layer: all must go when a layer is compressed anew, or they lie.
pub const ALL_KEYS: [&str; 8] = [
    TOC_DIGEST,
    TOC_POSITION,
    TAR_SPLIT_POSITION,
    TAR_SPLIT_DIGEST,
    OLD_TOC_DIGEST,
    OLD_TOC_POSITION,
    ESTARGZ_TOC_DIGEST,
    ESTARGZ_TAR_LEN,
];

/// What the annotations of a layer with a TOC say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Annotations {
    /// zstd:chunked, of containers/storage or, with `json_digest`, of stargz-snapshotter.
    ZstdChunked {
        /// Which keys hold it.
        prefix: Prefix,
        /// The digest of the compressed TOC.
        toc_digest: TocDigest,
        /// Where the metadata is; not checked against a blob.
        location: Location,
        /// The digest of the compressed tar-split, which writers before containers/storage 1.54 put here. The TOC does
        /// not vouch for it.
        tar_split_digest: Option<TarSplitDigest>,
        /// The digest of the plain TOC, which only stargz-snapshotter writes.
        json_digest: Option<TocDigest>,
    },
    /// eStargz: the footer of the blob says where the TOC is.
    Estargz {
        /// The digest of the plain TOC.
        json_digest: TocDigest,
    },
}

/// Tells the two families of zstd:chunked keys apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Prefix {
    /// `io.github.containers.zstd-chunked.`, since containers/storage 1.44: the only one that today's readers look at.
    Current,
    /// `io.containers.zstd-chunked.`, before, and still with stargz-snapshotter.
    Old,
}

/// Says what is wrong with the annotations of a layer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Both kinds of TOC are announced; readers would not agree about what the layer holds.
    #[error("annotations `{TOC_DIGEST}` and `{ESTARGZ_TOC_DIGEST}` exclude each other")]
    TwoTocs,
    /// A key that another one needs is not there.
    #[error("annotation `{0}` is missing")]
    Missing(&'static str),
    /// A digest is malformed.
    #[error("annotation `{key}` is not a digest: {problem}")]
    Digest {
        /// The key.
        key: &'static str,
        /// What is wrong with its value.
        problem: InvalidDigest,
    },
    /// A position is not the right number of decimal numbers with colons between them.
    #[error("annotation `{key}` is `{value}`, expected {expected}")]
    Position {
        /// The key.
        key: &'static str,
        /// Its value, shortened.
        value: String,
        /// The form it should have.
        expected: &'static str,
    },
    /// The TOC is of an unknown type.
    #[error("annotation `{key}` names a TOC of type {found}, expected {TOC_TYPE}")]
    Type {
        /// The key.
        key: &'static str,
        /// The type it names.
        found: u64,
    },
}

impl Annotations {
    /// Parses what `lookup` finds; `None` when the layer has no TOC that annotations know of.
    ///
    /// # Errors
    /// [`Invalid`] when a value breaks the grammar, a key that others need is missing, or two kinds of TOC are announced.
    pub fn parse<'a>(lookup: impl Fn(&str) -> Option<&'a str>) -> Result<Option<Self>, Invalid> {
        let json_digest =
            lookup(ESTARGZ_TOC_DIGEST).map(|text| digest(ESTARGZ_TOC_DIGEST, text)).transpose()?;
        let (prefix, digest_key, position_key) = match (lookup(TOC_DIGEST), lookup(OLD_TOC_DIGEST)) {
            (Some(_), _) if json_digest.is_some() => return Err(Invalid::TwoTocs),
            (Some(_), _) => (Prefix::Current, TOC_DIGEST, TOC_POSITION),
            (None, Some(_)) => (Prefix::Old, OLD_TOC_DIGEST, OLD_TOC_POSITION),
            (None, None) => return Ok(json_digest.map(|json_digest| Self::Estargz { json_digest })),
        };
        let required = |key| lookup(key).ok_or(Invalid::Missing(key));
        let toc_digest = digest(digest_key, required(digest_key)?)?;
        let toc = toc_position(position_key, required(position_key)?)?;
        let tar_split = match prefix {
            Prefix::Current => lookup(TAR_SPLIT_POSITION).map(tar_split_position).transpose()?,
            Prefix::Old => None,
        };
        let tar_split_digest =
            lookup(TAR_SPLIT_DIGEST).map(|text| digest(TAR_SPLIT_DIGEST, text)).transpose()?;
        let location = Location { toc, tar_split };
        Ok(Some(Self::ZstdChunked { prefix, toc_digest, location, tar_split_digest, json_digest }))
    }
}

/// Returns the annotations of a layer in the current dialect.
pub fn encode(toc_digest: &TocDigest, location: &Location) -> BTreeMap<String, String> {
    let position =
        |located: &Located| format!("{}:{}:{}", located.range.start(), located.range.len(), located.len);
    let toc = [
        (TOC_DIGEST, toc_digest.to_string()),
        (TOC_POSITION, format!("{}:{TOC_TYPE}", position(&location.toc))),
    ];
    let tar_split = location.tar_split.as_ref().map(|located| (TAR_SPLIT_POSITION, position(located)));
    toc.into_iter().chain(tar_split).map(|(key, value)| (key.to_owned(), value)).collect()
}

fn digest<D: std::str::FromStr<Err = InvalidDigest>>(key: &'static str, text: &str) -> Result<D, Invalid> {
    text.parse().map_err(|problem| Invalid::Digest { key, problem })
}

fn toc_position(key: &'static str, text: &str) -> Result<Located, Invalid> {
    match numbers(text) {
        Some([offset, blob_len, len, TOC_TYPE]) => Ok(Located::from_numbers([offset, blob_len, len])),
        Some([.., found]) => Err(Invalid::Type { key, found }),
        None => Err(malformed(key, text, "`offset:length:uncompressed length:type`")),
    }
}

fn tar_split_position(text: &str) -> Result<Located, Invalid> {
    let expected = "`offset:length:uncompressed length`";
    numbers(text).map(Located::from_numbers).ok_or_else(|| malformed(TAR_SPLIT_POSITION, text, expected))
}

fn malformed(key: &'static str, text: &str, expected: &'static str) -> Invalid {
    Invalid::Position { key, value: text.chars().take(100).collect(), expected }
}

/// Splits `text` into exactly `N` numbers.
fn numbers<const N: usize>(text: &str) -> Option<[u64; N]> {
    let mut fields = text.split(':');
    let mut numbers = [0; N];
    for number in &mut numbers {
        *number = decimal(fields.next()?)?;
    }
    fields.next().is_none().then_some(numbers)
}

/// Parses digits only. The reference scans for numbers, which lets signs, spaces and trailing junk pass; nothing writes those.
fn decimal(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn parse(pairs: &[(&str, &str)]) -> Result<Option<Annotations>, Invalid> {
        Annotations::parse(|key| pairs.iter().find(|(name, _)| *name == key).map(|(_, value)| *value))
    }

    fn parse_map(map: &BTreeMap<String, String>) -> Result<Option<Annotations>, Invalid> {
        Annotations::parse(|key| map.get(key).map(String::as_str))
    }

    #[test]
    fn the_current_keys_are_written() {
        let toc = Located::from_numbers([107_123_052, 1_009_822, 5_525_223]);
        let tar_split = Some(Located::from_numbers([108_132_882, 612_322, 15_402_870]));
        let map = encode(&DIGEST.parse().unwrap(), &Location { toc, tar_split });
        insta::assert_debug_snapshot!(map, @r#"
        {
            "io.github.containers.zstd-chunked.manifest-checksum": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "io.github.containers.zstd-chunked.manifest-position": "107123052:1009822:5525223:1",
            "io.github.containers.zstd-chunked.tarsplit-position": "108132882:612322:15402870",
        }
        "#);
    }

    #[test]
    fn a_layer_without_toc_has_none() {
        assert_eq!(parse(&[]), Ok(None));
        assert_eq!(parse(&[(TOC_POSITION, "x"), ("org.opencontainers.image.title", "x")]), Ok(None));
    }

    #[test]
    fn every_family_of_keys_is_known() {
        let located = Located::from_numbers([8, 2, 3]);
        let toc_digest: TocDigest = DIGEST.parse().unwrap();
        let old = |json_digest| Annotations::ZstdChunked {
            prefix: Prefix::Old,
            toc_digest,
            location: Location { toc: located, tar_split: None },
            tar_split_digest: None,
            json_digest,
        };
        let old_keys = [(OLD_TOC_DIGEST, DIGEST), (OLD_TOC_POSITION, "8:2:3:1")];
        assert_eq!(parse(&old_keys), Ok(Some(old(None))));
        let stargz = [old_keys.as_slice(), &[(ESTARGZ_TOC_DIGEST, DIGEST), (ESTARGZ_TAR_LEN, "9")]].concat();
        assert_eq!(parse(&stargz), Ok(Some(old(Some(toc_digest)))));
        let estargz = Annotations::Estargz { json_digest: toc_digest };
        assert_eq!(parse(&[(ESTARGZ_TOC_DIGEST, DIGEST)]), Ok(Some(estargz)));
        let positioned = [
            (TOC_DIGEST, DIGEST),
            (TOC_POSITION, "8:2:3:1"),
            (TAR_SPLIT_POSITION, "18:4:5"),
            (TAR_SPLIT_DIGEST, DIGEST),
        ];
        let expected = Annotations::ZstdChunked {
            prefix: Prefix::Current,
            toc_digest,
            location: Location { toc: located, tar_split: Some(Located::from_numbers([18, 4, 5])) },
            tar_split_digest: Some(DIGEST.parse().unwrap()),
            json_digest: None,
        };
        assert_eq!(parse(&positioned), Ok(Some(expected)));
    }

    #[test]
    fn positions_are_decimal_numbers_and_nothing_else() {
        for position in [
            "",
            "8",
            "8:2:3",
            "8:2:3:1:",
            "8:2:3:1:0",
            "8:2:3:1x",
            "8:2:3:1 ",
            " 8:2:3:1",
            "+8:2:3:1",
            "-8:2:3:1",
            "8::3:1",
            "8:2:x:3:1",
            "0x8:2:3:1",
            "8:2:3:18446744073709551616",
            "8:2:3:1\n",
        ] {
            let result = parse(&[(TOC_DIGEST, DIGEST), (TOC_POSITION, position)]);
            assert!(matches!(result, Err(Invalid::Position { .. })), "{position:?} {result:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let text = |pairs: &[(&str, &str)]| parse(pairs).unwrap_err().to_string();
        insta::assert_snapshot!(text(&[(TOC_DIGEST, DIGEST), (ESTARGZ_TOC_DIGEST, DIGEST)]), @"annotations `io.github.containers.zstd-chunked.manifest-checksum` and `containerd.io/snapshot/stargz/toc.digest` exclude each other");
        insta::assert_snapshot!(text(&[(TOC_DIGEST, DIGEST)]), @"annotation `io.github.containers.zstd-chunked.manifest-position` is missing");
        insta::assert_snapshot!(text(&[(TOC_DIGEST, "sha1:00"), (TOC_POSITION, "8:2:3:1")]), @"annotation `io.github.containers.zstd-chunked.manifest-checksum` is not a digest: digest algorithm `sha1` is not supported, expected sha256 or sha512");
        insta::assert_snapshot!(text(&[(ESTARGZ_TOC_DIGEST, "")]), @"annotation `containerd.io/snapshot/stargz/toc.digest` is not a digest: digest `` is not of the form `algorithm:hex`");
        insta::assert_snapshot!(text(&[(TOC_DIGEST, DIGEST), (TOC_POSITION, "8:2:3:1 junk")]), @"annotation `io.github.containers.zstd-chunked.manifest-position` is `8:2:3:1 junk`, expected `offset:length:uncompressed length:type`");
        insta::assert_snapshot!(text(&[(TOC_DIGEST, DIGEST), (TOC_POSITION, "8:2:3:2")]), @"annotation `io.github.containers.zstd-chunked.manifest-position` names a TOC of type 2, expected 1");
        let split = [(TOC_DIGEST, DIGEST), (TOC_POSITION, "8:2:3:1"), (TAR_SPLIT_POSITION, "1:2:3:4")];
        insta::assert_snapshot!(text(&split), @"annotation `io.github.containers.zstd-chunked.tarsplit-position` is `1:2:3:4`, expected `offset:length:uncompressed length`");
    }

    proptest! {
        #[test]
        fn what_is_encoded_parses_back(bytes: [u8; 32], toc: [u32; 3], split: Option<[u32; 3]>) {
            let located = |numbers: [u32; 3]| Located::from_numbers(numbers.map(u64::from));
            let location = Location { toc: located(toc), tar_split: split.map(located) };
            let toc_digest = TocDigest::of(&bytes);
            let parsed = parse_map(&encode(&toc_digest, &location)).unwrap();
            let expected = Annotations::ZstdChunked {
                prefix: Prefix::Current,
                toc_digest,
                location,
                tar_split_digest: None,
                json_digest: None,
            };
            prop_assert_eq!(parsed, Some(expected));
        }

        #[test]
        fn no_text_makes_parsing_panic(position: String, digest: String) {
            let _ = parse(&[(TOC_DIGEST, DIGEST), (TOC_POSITION, &position), (TAR_SPLIT_DIGEST, &digest)]);
        }
    }
}
