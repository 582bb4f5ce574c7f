//! Which children of an index are wanted.

use std::fmt;
use std::str::FromStr;

use chunked::BlobDigest;
use chunked::annotations::Annotations;
use serde::Serialize;

use crate::descriptor::Descriptor;
use crate::error::shorten;
use crate::image::Manifest;
use crate::media_type::{DocumentKind, LayerKind};
use crate::platform::{Platform, Selector};

/// Which children of an index are wanted. The default is all of them.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// The platforms; all if empty.
    pub platforms: Vec<Selector>,
    /// What becomes of entries that have no platform.
    pub no_platform: NoPlatform,
    /// How layers may be compressed; in any way if empty.
    pub encodings: Vec<Encoding>,
    /// Whether there are children at all.
    pub children: Children,
}

/// What becomes of entries of an index that have no platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoPlatform {
    /// They are wanted.
    #[default]
    Keep,
    /// They are not.
    Skip,
}

/// Whether children are wanted at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Children {
    /// Those that are chosen.
    #[default]
    Chosen,
    /// None: only the index and what is said about it.
    None,
}

/// How the layers of an image are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Encoding {
    /// Not at all.
    Tar,
    /// With gzip.
    Gzip,
    /// With zstd.
    Zstd,
    /// As zstd:chunked, at least one of them.
    ZstdChunked,
}

/// Why a child is not wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// Its platform was not asked for.
    Platform,
    /// It has no platform.
    NoPlatform,
    /// Its layers are not compressed in the way that was asked for.
    Encoding,
    /// It speaks of an image that is not wanted.
    Attestation,
    /// Only the index was asked for.
    IndexOnly,
}

/// What an index alone says about whether a child is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It is, as far as can be told.
    Read,
    /// It is if this sibling is.
    Follows(BlobDigest),
    /// It is not.
    Left(Why),
}

impl Selection {
    /// Judges a child by its descriptor.
    pub(super) fn judge(&self, listed: &Descriptor) -> Judgement {
        if self.children == Children::None {
            return Judgement::Left(Why::IndexOnly);
        }
        if let Some(subject) = listed.attests() {
            return Judgement::Follows(subject);
        }
        match platform(listed) {
            Some(platform) if !self.takes(platform) => Judgement::Left(Why::Platform),
            Some(_) => Judgement::Read,
            // What a nested index lists has platforms of its own.
            None if listed.media_type.document() == Some(DocumentKind::Index) => Judgement::Read,
            None if self.no_platform == NoPlatform::Skip => Judgement::Left(Why::NoPlatform),
            None => Judgement::Read,
        }
    }

    /// Tells whether images for a platform are wanted.
    pub(super) fn takes(&self, platform: &Platform) -> bool {
        self.platforms.is_empty() || self.platforms.iter().any(|selector| selector.matches(platform))
    }

    /// Tells whether the layers of an image are compressed as wanted; artifacts have no layers in that sense.
    pub(super) fn takes_layers(&self, manifest: &Manifest) -> bool {
        self.encodings.is_empty() || !manifest.is_image() || self.encodings.contains(&Encoding::of(manifest))
    }
}

/// Returns the platform of a child; `unknown/unknown`, which builders write for want of one, is none.
pub(super) fn platform(listed: &Descriptor) -> Option<&Platform> {
    let is_known = |part: &str| !part.is_empty() && part != "unknown";
    listed.platform.as_ref().filter(|platform| is_known(&platform.os) || is_known(&platform.architecture))
}

impl Encoding {
    /// Finds out how the layers of an image are compressed: the best that one of them is.
    pub fn of(manifest: &Manifest) -> Self {
        manifest.layers.iter().map(Self::of_layer).max().unwrap_or(Self::Tar)
    }

    fn of_layer(layer: &Descriptor) -> Self {
        match layer.media_type.layer() {
            LayerKind::TarGzip => Self::Gzip,
            LayerKind::TarZstd => {
                let read = |key: &str| layer.annotations.get(key).map(String::as_str);
                match Annotations::parse(read) {
                    Ok(Some(Annotations::ZstdChunked { .. })) => Self::ZstdChunked,
                    _ => Self::Zstd,
                }
            }
            _ => Self::Tar,
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tar => "tar",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::ZstdChunked => "zstd:chunked",
        })
    }
}

impl Serialize for Encoding {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Names what is wrong with the text of an [`Encoding`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("encoding `{0}` is not known, expected `gzip`, `zstd`, `zstd:chunked` or `tar`")]
pub struct InvalidEncoding(String);

impl FromStr for Encoding {
    type Err = InvalidEncoding;

    fn from_str(text: &str) -> Result<Self, InvalidEncoding> {
        let all = [Self::Tar, Self::Gzip, Self::Zstd, Self::ZstdChunked];
        let found = all.into_iter().find(|encoding| encoding.to_string() == text);
        found.ok_or_else(|| InvalidEncoding(shorten(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::ATTESTATION_SUBJECT;
    use crate::media_type::MediaType;

    fn listed(platform: &str) -> Descriptor {
        let mut listed = Descriptor::new(MediaType::OCI_MANIFEST, BlobDigest::of(b"x"), 1);
        let mut parts = platform.split('/');
        if let (Some(os), Some(architecture)) = (parts.next(), parts.next()) {
            let platform = Platform::new(os, architecture);
            listed.platform = Some(Platform { variant: parts.next().map(str::to_owned), ..platform });
        }
        listed
    }

    fn selection(platforms: &[&str]) -> Selection {
        let platforms = platforms.iter().map(|text| text.parse().unwrap()).collect();
        Selection { platforms, ..Selection::default() }
    }

    #[test]
    fn children_are_judged_by_platform() {
        let some = selection(&["linux/arm64", "linux/arm/v6"]);
        let cases = [
            ("linux/arm64", Judgement::Read),
            ("linux/arm64/v8", Judgement::Read),
            ("linux/arm/v6", Judgement::Read),
            ("linux/arm/v7", Judgement::Left(Why::Platform)),
            ("linux/amd64", Judgement::Left(Why::Platform)),
            ("unknown/unknown", Judgement::Read),
            ("", Judgement::Read),
        ];
        for (platform, expected) in cases {
            assert_eq!(some.judge(&listed(platform)), expected, "{platform}");
            assert_eq!(selection(&[]).judge(&listed(platform)), Judgement::Read, "{platform}");
        }
    }

    #[test]
    fn entries_without_platform_have_a_policy_and_attestations_follow() {
        let skip = Selection { no_platform: NoPlatform::Skip, ..Selection::default() };
        assert_eq!(skip.judge(&listed("")), Judgement::Left(Why::NoPlatform));
        let nested = Descriptor { media_type: MediaType::OCI_INDEX, ..listed("") };
        assert_eq!(skip.judge(&nested), Judgement::Read);
        let subject = BlobDigest::of(b"subject");
        let mut attestation = listed("unknown/unknown");
        attestation.annotations.insert(ATTESTATION_SUBJECT.to_owned(), subject.to_string());
        assert_eq!(skip.judge(&attestation), Judgement::Follows(subject));
        let none = Selection { children: Children::None, ..Selection::default() };
        assert_eq!(none.judge(&attestation), Judgement::Left(Why::IndexOnly));
    }

    #[test]
    fn encodings_round_trip_and_others_are_named() {
        for text in ["tar", "gzip", "zstd", "zstd:chunked"] {
            assert_eq!(text.parse::<Encoding>().unwrap().to_string(), text);
        }
        let error = "lz4".parse::<Encoding>().unwrap_err().to_string();
        insta::assert_snapshot!(error, @"encoding `lz4` is not known, expected `gzip`, `zstd`, `zstd:chunked` or `tar`");
    }
}
