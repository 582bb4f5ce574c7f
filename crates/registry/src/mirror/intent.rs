//! What a mirror was meant to hold: a small manifest whose subject is the index.
//!
//! ```json
//! {
//!   "source": "docker://quay.io/team/app:1",
//!   "platforms": ["linux/amd64"],
//!   "mirrored": [{"digest": "sha256:...", "platform": "linux/amd64"}],
//!   "leftOut": [{"digest": "sha256:...", "platform": "linux/s390x"}]
//! }
//! ```
//!
//! It answers what scanners, garbage collectors and people ask of an index some of whose children are missing: is that on
//! purpose? It holds no time, so that the same mirror has the same record. Of several records of one index, a child that
//! one of them says was mirrored is meant to be there.

use std::sync::Arc;

use chunked::BlobDigest;
use serde::{Deserialize, Serialize};
use serde_json::Map;

use crate::descriptor::{Annotations, Descriptor};
use crate::error::{Error, shorten};
use crate::image::{DOCUMENT_LEN_MAX, Document, Exact, Invalid, Manifest, parse_json};
use crate::media_type::MediaType;
use crate::source::ImageSource;

/// The type of the record, as an artifact and as its only layer.
pub const INTENT: &str = "application/vnd.morsel.mirror.v1+json";
/// The type of an empty configuration (OCI image-spec, manifest.md, "Guidance for an Empty Descriptor").
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// Its content.
pub(super) const EMPTY_CONTENT: &[u8] = b"{}";
/// Most records of one index that are read.
const RECORDS_MAX: usize = 16;

/// What was mirrored on purpose, by whom and from where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// Where it came from.
    pub source: String,
    /// Who wanted it so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The platforms that were asked for; none means all that were there.
    #[serde(default)]
    pub platforms: Vec<String>,
    /// The children that are meant to be there.
    #[serde(default)]
    pub mirrored: Vec<Entry>,
    /// The children that are not.
    #[serde(default)]
    pub left_out: Vec<Entry>,
}

/// A child of an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The digest of its manifest.
    pub digest: BlobDigest,
    /// What it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
}

impl Intent {
    /// Reads a record whose bytes were verified.
    ///
    /// # Errors
    /// [`Invalid`] when it is too long or malformed.
    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        parse_json(bytes, DOCUMENT_LEN_MAX)
    }

    /// Tells whether a child is meant to be missing.
    pub fn leaves_out(&self, digest: &BlobDigest) -> bool {
        self.left_out.iter().any(|entry| entry.digest == *digest)
    }

    /// Tells whether a child is meant to be there.
    pub fn mirrors(&self, digest: &BlobDigest) -> bool {
        self.mirrored.iter().any(|entry| entry.digest == *digest)
    }

    /// Takes over what earlier records say was mirrored.
    #[must_use]
    pub(super) fn after(mut self, earlier: &[Self]) -> Self {
        let was_mirrored = |entry: &Entry| earlier.iter().any(|record| record.mirrors(&entry.digest));
        let (more, left_out) = std::mem::take(&mut self.left_out).into_iter().partition(was_mirrored);
        self.left_out = left_out;
        self.mirrored.extend::<Vec<_>>(more);
        for platform in earlier.iter().flat_map(|record| &record.platforms) {
            if !self.platforms.is_empty() && !self.platforms.contains(platform) {
                self.platforms.push(platform.clone());
            }
        }
        self.mirrored.sort_by_key(|entry| entry.digest.to_string());
        self.platforms.sort();
        self
    }

    /// Writes the record about `subject`: its manifest, and its only layer.
    pub(super) fn encode(&self, subject: &Descriptor) -> Result<(Document, Vec<u8>), Invalid> {
        let bytes = serde_json::to_vec(self).map_err(|error| Invalid::Json(shorten(&error.to_string())))?;
        let describe = |media_type: &str, bytes: &[u8]| {
            let media_type = MediaType::from(media_type.to_owned());
            Descriptor::new(media_type, BlobDigest::of(bytes), bytes.len() as u64)
        };
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(MediaType::OCI_MANIFEST),
            artifact_type: Some(INTENT.to_owned()),
            config: describe(EMPTY, EMPTY_CONTENT),
            layers: vec![describe(INTENT, &bytes)],
            subject: Some(subject.bare()),
            annotations: Annotations::new(),
            other: Map::new(),
        };
        let manifest = Exact::encode(MediaType::OCI_MANIFEST, manifest)?;
        Ok((Document::Manifest(Arc::new(manifest)), bytes))
    }
}

/// Tells whether a referrer is such a record.
pub(super) fn is_record(referrer: &Descriptor) -> bool {
    referrer.artifact_type.as_deref() == Some(INTENT)
}

/// Reads the records about `subject`; those that are malformed say nothing.
///
/// # Errors
/// When they cannot be listed or read.
pub fn read(source: &dyn ImageSource, subject: &BlobDigest) -> Result<Vec<Intent>, Error> {
    let referrers = source.referrers(subject)?;
    let mut records = Vec::new();
    for referrer in referrers.iter().filter(|referrer| is_record(referrer)).take(RECORDS_MAX) {
        let Some(Document::Manifest(manifest)) = source.document(&referrer.bare())? else { continue };
        let Some(layer) = manifest.value().layers.first() else { continue };
        let bytes = source.small_blob(layer)?;
        records.extend(bytes.and_then(|bytes| Intent::parse(&bytes).ok()));
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> Entry {
        Entry { digest: BlobDigest::of(name.as_bytes()), platform: Some(name.to_owned()) }
    }

    fn intent(mirrored: &[&str], left_out: &[&str]) -> Intent {
        let entries = |names: &[&str]| names.iter().map(|name| entry(name)).collect();
        Intent {
            source: "docker://h.io/app:1".to_owned(),
            by: None,
            platforms: mirrored.iter().map(ToString::to_string).collect(),
            mirrored: entries(mirrored),
            left_out: entries(left_out),
        }
    }

    #[test]
    fn records_round_trip_and_are_the_same_for_the_same_mirror() {
        let subject = Descriptor::new(MediaType::OCI_INDEX, BlobDigest::of(b"index"), 5);
        let written = intent(&["a"], &["b", "c"]);
        let (document, bytes) = written.encode(&subject).unwrap();
        assert_eq!(Intent::parse(&bytes), Ok(written.clone()));
        assert_eq!(document.subject(), Some(subject.digest));
        assert!(is_record(&document.as_referrer()));
        assert_eq!(written.encode(&subject).unwrap().0.descriptor(), document.descriptor());
    }

    #[test]
    fn what_was_mirrored_before_stays_mirrored() {
        let first = intent(&["a"], &["b", "c"]).after(&[]);
        let second = intent(&["b"], &["a", "c"]).after(std::slice::from_ref(&first));
        assert!(second.mirrors(&entry("a").digest) && second.mirrors(&entry("b").digest));
        assert!(second.leaves_out(&entry("c").digest) && !second.leaves_out(&entry("a").digest));
        assert_eq!(second.platforms, ["a", "b"]);
        assert_eq!(intent(&["a"], &["b", "c"]).after(&[first, second.clone()]), second);
    }

    #[test]
    fn fields_to_come_are_no_reason_to_refuse() {
        assert!(Intent::parse(br#"{"source":"x","later":1}"#).is_ok());
        assert!(Intent::parse(br#"{"mirrored":[{"digest":"sha256:../.."}],"source":"x"}"#).is_err());
    }
}
