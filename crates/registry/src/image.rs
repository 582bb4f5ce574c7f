//! Manifests, indexes and configurations: the exact bytes, and what they say.

use std::io;
use std::sync::Arc;

use chunked::Class;
use chunked::digest::{BlobDigest, DiffId};
use chunked::verifying::{Mismatch, Verifying};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::descriptor::{Annotations, Descriptor, null_is_empty};
use crate::error::shorten;
use crate::media_type::{DocumentKind, MediaType};
use crate::platform::Platform;

/// Longest manifest, index or configuration in bytes: what registries must accept (OCI distribution-spec, "Pushing
/// Manifests") and what other clients read.
pub const DOCUMENT_LEN_MAX: u64 = 4 << 20;

/// Fields that decide what a document is and points at. One of another document's kind, or one of ours in another case,
/// which Go would take for ours, makes two readers see two images (CVE-2021-41190).
const TELLING_FIELDS: [&str; 8] =
    ["schemaVersion", "mediaType", "config", "layers", "fsLayers", "manifests", "subject", "artifactType"];
/// The same for a descriptor.
const DESCRIPTOR_FIELDS: [&str; 4] = ["mediaType", "digest", "size", "platform"];

/// Names what is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The document is too large to be read.
    #[error("it is {len} bytes long, the limit is {limit}")]
    TooLong {
        /// Its length in bytes.
        len: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The bytes are not those its descriptor promises.
    #[error(transparent)]
    Body(#[from] Mismatch),
    /// The JSON is malformed, or a field is missing or of the wrong type.
    #[error("{0}")]
    Json(String),
    /// Manifests of schema 1 and of schemas to come are not read.
    #[error("schema version {0} is not supported, expected 2")]
    SchemaVersion(u32),
    /// The type is not one of a manifest or index.
    #[error("media type `{0}` is not that of an image manifest or index")]
    MediaType(MediaType),
    /// The document says another type of itself than its descriptor does.
    #[error("it says of itself that it is `{found}`, its descriptor says `{expected}`")]
    OtherMediaType {
        /// Type in the descriptor.
        expected: MediaType,
        /// Type in the document.
        found: MediaType,
    },
    /// A field would make other programs read another image than this one does.
    #[error("field `{0}` makes it ambiguous")]
    Ambiguous(String),
}

impl Invalid {
    /// Says what the failure means to the caller.
    pub fn class(&self) -> Class {
        match self {
            Self::SchemaVersion(_) | Self::MediaType(_) => Class::Unsupported,
            _ => Class::Corrupt,
        }
    }
}

/// One image: its configuration and its layers, the lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// The type of the document; OCI allows to leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// The type of artifact, if it is not an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, the lowest first.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub layers: Vec<Descriptor>,
    /// The manifest or index that this one is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// What is said about the image.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
    /// Fields this program does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Manifest {
    /// Tells images from artifacts (signatures, bills of materials, charts) that borrow the manifest's form.
    pub fn is_image(&self) -> bool {
        self.artifact_type.is_none() && self.config.media_type.is_image_config()
    }
}

/// A list of manifests and further indexes, usually one for each platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// The type of the document; OCI allows to leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// The type of artifact, if it is not a set of images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The manifests and indexes, in order of preference.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub manifests: Vec<Descriptor>,
    /// The manifest or index that this one is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// What is said about the set.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
    /// Fields this program does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Index {
    /// Lists `manifests`, and says nothing else.
    pub fn of(manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(MediaType::OCI_INDEX),
            artifact_type: None,
            manifests,
            subject: None,
            annotations: Annotations::new(),
            other: Map::new(),
        }
    }
}

/// What [`Exact`] has to know of a kind of document.
pub trait Parsed: Serialize + DeserializeOwned {
    /// Returns the type that the document says it is.
    fn media_type(&self) -> Option<&MediaType>;
    /// Returns the version of its schema.
    fn schema_version(&self) -> u32;
    /// Returns the fields this program does not know.
    fn unknown_fields(&self) -> &Map<String, Value>;
    /// Returns every descriptor in it.
    fn descriptors(&self) -> impl Iterator<Item = &Descriptor>;
}

impl Parsed for Manifest {
    fn media_type(&self) -> Option<&MediaType> {
        self.media_type.as_ref()
    }

    fn schema_version(&self) -> u32 {
        self.schema_version
    }

    fn unknown_fields(&self) -> &Map<String, Value> {
        &self.other
    }

    fn descriptors(&self) -> impl Iterator<Item = &Descriptor> {
        self.layers.iter().chain([&self.config]).chain(&self.subject)
    }
}

impl Parsed for Index {
    fn media_type(&self) -> Option<&MediaType> {
        self.media_type.as_ref()
    }

    fn schema_version(&self) -> u32 {
        self.schema_version
    }

    fn unknown_fields(&self) -> &Map<String, Value> {
        &self.other
    }

    fn descriptors(&self) -> impl Iterator<Item = &Descriptor> {
        self.manifests.iter().chain(&self.subject)
    }
}

/// A document, kept as the exact bytes that its digest and every signature of it commit to, with what they say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exact<T> {
    bytes: Vec<u8>,
    digest: BlobDigest,
    media_type: MediaType,
    value: T,
}

impl<T: Parsed> Exact<T> {
    /// Takes the bytes that `descriptor` points at.
    ///
    /// # Errors
    /// [`Invalid`] when they are not those bytes, too many, malformed, or ambiguous.
    pub fn parse(descriptor: &Descriptor, bytes: Vec<u8>) -> Result<Self, Invalid> {
        check_body(descriptor, &bytes)?;
        let value: T = parse_json(&bytes, DOCUMENT_LEN_MAX)?;
        if value.schema_version() != 2 {
            return Err(Invalid::SchemaVersion(value.schema_version()));
        }
        if let Some(found) = value.media_type().filter(|found| **found != descriptor.media_type) {
            return Err(Invalid::OtherMediaType {
                expected: descriptor.media_type.clone(),
                found: found.clone(),
            });
        }
        refuse_lookalikes(value.unknown_fields(), &TELLING_FIELDS)?;
        value.descriptors().try_for_each(|inner| refuse_lookalikes(&inner.other, &DESCRIPTOR_FIELDS))?;
        Ok(Self { bytes, digest: descriptor.digest, media_type: descriptor.media_type.clone(), value })
    }

    /// Writes a document of ours; its bytes are a function of `value` alone.
    ///
    /// # Errors
    /// [`Invalid::TooLong`] when no one would read it.
    pub fn encode(media_type: MediaType, value: T) -> Result<Self, Invalid> {
        let bytes = serde_json::to_vec(&value).map_err(malformed)?;
        check_len(&bytes, DOCUMENT_LEN_MAX)?;
        Ok(Self { digest: BlobDigest::of(&bytes), bytes, media_type, value })
    }

    /// Returns the exact bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the digest of the bytes.
    pub fn digest(&self) -> BlobDigest {
        self.digest
    }

    /// Returns the type that the document's descriptor gives it.
    pub fn media_type(&self) -> &MediaType {
        &self.media_type
    }

    /// Returns what the bytes say.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// Describes the document by type, digest and length alone.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.media_type.clone(), self.digest, self.bytes.len() as u64)
    }
}

/// A manifest or an index; clones share the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// One image.
    Manifest(Arc<Exact<Manifest>>),
    /// A list of images.
    Index(Arc<Exact<Index>>),
}

impl Document {
    /// Takes the bytes that `descriptor` points at.
    ///
    /// # Errors
    /// As [`Exact::parse`], and [`Invalid::MediaType`] when the descriptor is not that of a manifest or index.
    pub fn parse(descriptor: &Descriptor, bytes: Vec<u8>) -> Result<Self, Invalid> {
        match descriptor.media_type.document() {
            Some(DocumentKind::Manifest) => Exact::parse(descriptor, bytes).map(Arc::new).map(Self::Manifest),
            Some(DocumentKind::Index) => Exact::parse(descriptor, bytes).map(Arc::new).map(Self::Index),
            None => Err(Invalid::MediaType(descriptor.media_type.clone())),
        }
    }

    /// Returns the exact bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Manifest(manifest) => manifest.bytes(),
            Self::Index(index) => index.bytes(),
        }
    }

    /// Describes the document by type, digest and length alone.
    pub fn descriptor(&self) -> Descriptor {
        match self {
            Self::Manifest(manifest) => manifest.descriptor(),
            Self::Index(index) => index.descriptor(),
        }
    }

    /// Returns the digest of the manifest or index that it is about.
    pub fn subject(&self) -> Option<BlobDigest> {
        let subject = match self {
            Self::Manifest(manifest) => manifest.value().subject.as_ref(),
            Self::Index(index) => index.value().subject.as_ref(),
        };
        subject.map(|subject| subject.digest)
    }

    /// Describes it as lists of referrers do (OCI distribution-spec, "Listing Referrers").
    pub(crate) fn as_referrer(&self) -> Descriptor {
        let (artifact_type, annotations) = match self {
            Self::Manifest(manifest) => {
                let Manifest { artifact_type, config, annotations, .. } = manifest.value();
                let own = artifact_type.clone().filter(|own| !own.is_empty());
                (own.or_else(|| Some(config.media_type.as_str().to_owned())), annotations)
            }
            Self::Index(index) => (index.value().artifact_type.clone(), &index.value().annotations),
        };
        Descriptor { artifact_type, annotations: annotations.clone(), ..self.descriptor() }
    }
}

/// What conversion needs to know of an image's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Config {
    /// What the image runs on.
    #[serde(flatten)]
    pub platform: Platform,
    /// The layers, by the digests of their tars.
    pub rootfs: RootFs,
}

/// The layers of an image, by the digests of their tars.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RootFs {
    /// The digest of each layer's plain tar, the lowest first.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub diff_ids: Vec<DiffId>,
}

impl Config {
    /// Reads a configuration whose bytes were verified.
    ///
    /// # Errors
    /// [`Invalid`] when it is too long or malformed.
    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        let mut config: Self = parse_json(bytes, DOCUMENT_LEN_MAX)?;
        config.platform.other.clear();
        Ok(config)
    }
}

/// Checks bytes against the digest and length that vouch for them.
pub(crate) fn check_body(descriptor: &Descriptor, bytes: &[u8]) -> Result<(), Invalid> {
    let mut body = Verifying::new(bytes, descriptor.digest.0, descriptor.len);
    match io::copy(&mut body, &mut io::sink()) {
        Ok(_) => Ok(()),
        Err(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<Mismatch>()) {
            Some(mismatch) => Err(mismatch.clone().into()),
            None => Err(Invalid::Json(shorten(&error.to_string()))),
        },
    }
}

/// Reads JSON of at most `limit` bytes.
pub(crate) fn parse_json<T: DeserializeOwned>(bytes: &[u8], limit: u64) -> Result<T, Invalid> {
    check_len(bytes, limit)?;
    serde_json::from_slice(bytes).map_err(malformed)
}

fn check_len(bytes: &[u8], limit: u64) -> Result<(), Invalid> {
    let len = bytes.len() as u64;
    if len > limit { Err(Invalid::TooLong { len, limit }) } else { Ok(()) }
}

/// The text of a JSON error may quote the JSON; its position, which comes last, is worth keeping.
fn malformed(error: serde_json::Error) -> Invalid {
    let position = format!(" at line {} column {}", error.line(), error.column());
    let text = error.to_string();
    Invalid::Json(format!("{}{position}", shorten(text.strip_suffix(&position).unwrap_or(&text))))
}

fn refuse_lookalikes(unknown: &Map<String, Value>, telling: &[&str]) -> Result<(), Invalid> {
    let lookalike = |key: &&String| telling.iter().any(|field| field.eq_ignore_ascii_case(key));
    unknown.keys().find(lookalike).map_or(Ok(()), |key| Err(Invalid::Ambiguous(shorten(key))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn manifest_json(extra: &str) -> String {
        let config =
            format!(r#"{{"mediaType":"{}","digest":"{DIGEST}","size":0}}"#, MediaType::OCI_CONFIG.as_str());
        format!(r#"{{"schemaVersion":2,"config":{config},"layers":[]{extra}}}"#)
    }

    fn describe(media_type: MediaType, text: &str) -> Descriptor {
        Descriptor::new(media_type, BlobDigest::of(text.as_bytes()), text.len() as u64)
    }

    fn parse_as(media_type: MediaType, text: &str) -> Result<Document, Invalid> {
        Document::parse(&describe(media_type, text), text.as_bytes().to_vec())
    }

    fn parse(text: &str) -> Result<Document, Invalid> {
        parse_as(MediaType::OCI_MANIFEST, text)
    }

    #[test]
    fn bytes_are_kept_and_edits_keep_unknown_fields() {
        let text = manifest_json(r#","annotations":{"b":"2","a":"1"},"extension":{"deep":[1,2.5,"x"]}"#);
        let Document::Manifest(exact) = parse(&text).unwrap() else { panic!() };
        assert_eq!(exact.bytes(), text.as_bytes());
        assert_eq!(exact.digest(), BlobDigest::of(text.as_bytes()));
        let again = Exact::encode(MediaType::OCI_MANIFEST, exact.value().clone()).unwrap();
        let value = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
        assert_eq!(value(again.bytes()), value(exact.bytes()));
    }

    #[test]
    fn images_are_told_from_artifacts() {
        let is_image = |text: &str| match parse(text).unwrap() {
            Document::Manifest(manifest) => manifest.value().is_image(),
            Document::Index(_) => false,
        };
        assert!(is_image(&manifest_json("")));
        assert!(!is_image(&manifest_json(r#","artifactType":"application/spdx+json""#)));
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let message = |result: Result<Document, Invalid>| result.unwrap_err().to_string();
        insta::assert_snapshot!(message(parse("{")), @"EOF while parsing an object at line 1 column 1");
        insta::assert_snapshot!(message(parse(&manifest_json(r#","manifests":[]"#))), @"field `manifests` makes it ambiguous");
        insta::assert_snapshot!(message(parse(&manifest_json(r#","Layers":[]"#))), @"field `Layers` makes it ambiguous");
        insta::assert_snapshot!(message(parse(&manifest_json("").replace("\"size\":0", "\"size\":0,\"Size\":1"))), @"field `Size` makes it ambiguous");
        insta::assert_snapshot!(message(parse(&manifest_json("").replace(":2", ":1"))), @"schema version 1 is not supported, expected 2");
        insta::assert_snapshot!(message(parse(&manifest_json(r#","mediaType":"a/b""#))), @"it says of itself that it is `a/b`, its descriptor says `application/vnd.oci.image.manifest.v1+json`");
        insta::assert_snapshot!(message(parse_as(MediaType::OCI_LAYER, "{}")), @"media type `application/vnd.oci.image.layer.v1.tar` is not that of an image manifest or index");
        insta::assert_snapshot!(message(parse(&" ".repeat((4 << 20) + 1))), @"it is 4194305 bytes long, the limit is 4194304");
        let other = Document::parse(&describe(MediaType::OCI_MANIFEST, "{}"), b"[]".to_vec());
        insta::assert_snapshot!(message(other), @"digest of the body is sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945, expected sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
        let longer = Document::parse(&describe(MediaType::OCI_MANIFEST, "{}"), b"{} ".to_vec());
        insta::assert_snapshot!(message(longer), @"body is 3 bytes long, expected 2");
    }

    #[test]
    fn hostile_text_is_cut_in_errors() {
        let text = manifest_json("").replace("\"size\":0", &format!("\"size\":\"{}\"", "x".repeat(1 << 20)));
        assert!(parse(&text).unwrap_err().to_string().len() < 200);
    }

    #[test]
    fn config_says_platform_and_diff_ids() {
        let text = format!(
            r#"{{"architecture":"arm64","os":"linux","variant":"v8","config":{{}},"rootfs":{{"type":"layers","diff_ids":["{DIGEST}"]}}}}"#
        );
        let config = Config::parse(text.as_bytes()).unwrap();
        assert_eq!(config.platform.to_string(), "linux/arm64/v8");
        assert_eq!(config.rootfs.diff_ids.len(), 1);
    }
}
