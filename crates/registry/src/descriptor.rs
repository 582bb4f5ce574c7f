//! Descriptors: how manifests and indexes point at content.

use std::collections::BTreeMap;

use chunked::BlobDigest;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::media_type::MediaType;
use crate::platform::Platform;

/// Annotations of a document or descriptor, in the order they are written.
pub type Annotations = BTreeMap<String, String>;

/// Names an image among several, in the index of a layout (OCI image-spec, annotations.md).
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Says `"true"` of a manifest whose layers are compressed with zstd, chunked or not; pullers prefer those.
pub const ZSTD: &str = "io.github.containers.compression.zstd";
/// Names the digest of the manifest that an attestation speaks of (BuildKit).
pub const ATTESTATION_SUBJECT: &str = "vnd.docker.reference.digest";

/// Points at content: its type, digest and length, and what is said about it.
///
/// Fields this program does not know are kept, so that editing a document loses nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Type of the content.
    pub media_type: MediaType,
    /// Digest of the content's bytes.
    pub digest: BlobDigest,
    /// Length of the content in bytes.
    #[serde(rename = "size")]
    pub len: u64,
    /// Other places to fetch the content from.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// What is said about the content.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
    /// The content itself, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// What the content runs on, if it is a manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The type of artifact, if the content is the manifest of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Fields this program does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Descriptor {
    /// Describes content of which nothing else is known.
    pub fn new(media_type: MediaType, digest: BlobDigest, len: u64) -> Self {
        Self {
            media_type,
            digest,
            len,
            urls: Vec::new(),
            annotations: Annotations::new(),
            data: None,
            platform: None,
            artifact_type: None,
            other: Map::new(),
        }
    }

    /// Points at other content instead, keeping what is said about it, but not where and how else to get the old bytes.
    #[must_use]
    pub fn redirected(&self, media_type: MediaType, digest: BlobDigest, len: u64) -> Self {
        Self { media_type, digest, len, urls: Vec::new(), data: None, ..self.clone() }
    }

    /// Describes the same content by type, digest and length alone.
    #[must_use]
    pub fn bare(&self) -> Self {
        Self::new(self.media_type.clone(), self.digest, self.len)
    }

    /// Returns the digest of the manifest that this one attests, if it is an attestation.
    ///
    /// A digest that does not parse attests nothing.
    pub fn attests(&self) -> Option<BlobDigest> {
        self.annotations.get(ATTESTATION_SUBJECT)?.parse().ok()
    }

    /// Tells whether it is marked as an instance that is compressed with zstd.
    pub fn is_marked_zstd(&self) -> bool {
        self.annotations.get(ZSTD).is_some_and(|value| value == "true")
    }
}

/// Reads `null` as an empty collection, which is how Go writes one that was never filled.
pub(crate) fn null_is_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn unknown_fields_survive() {
        let text = format!(
            r#"{{"mediaType":"a/b","digest":"{DIGEST}","size":3,"annotations":{{"a":"1","b":"2"}},"platform":{{"architecture":"arm64","os":"linux","variant":"v8","zone":7}},"x":{{"y":[1,null]}}}}"#
        );
        let descriptor: Descriptor = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&descriptor).unwrap(), text);
    }

    #[test]
    fn null_collections_are_empty_and_lengths_are_not_negative() {
        let parse = |rest: &str| {
            serde_json::from_str::<Descriptor>(&format!(
                r#"{{"mediaType":"a/b","digest":"{DIGEST}",{rest}}}"#
            ))
        };
        assert!(parse(r#""size":3,"annotations":null,"urls":null"#).unwrap().annotations.is_empty());
        assert!(parse(r#""size":-1"#).is_err());
        assert!(parse(r#""size":3,"size":4"#).is_err());
    }

    #[test]
    fn paths_are_not_digests() {
        let text = r#"{"mediaType":"a/b","digest":"sha256:../../etc/passwd","size":3}"#;
        let error = serde_json::from_str::<Descriptor>(text).unwrap_err().to_string();
        insta::assert_snapshot!(error, @"digest `sha256:../../etc/passwd` does not have the lower-case hexadecimal digits its algorithm asks for at line 1 column 53");
    }
}
