//! What is done to mirror an image. A plan is a value: it can be printed, and it knows its bytes beforehand.

use chunked::BlobDigest;
use serde::{Serialize, Serializer};

use super::intent::Intent;
use super::refusal::Missing;
use super::select::Why;
use crate::client::SparsePolicy;
use crate::descriptor::Descriptor;
use crate::image::{Document, Manifest};
use crate::reference::Reference;

/// What is done to mirror an image, in the order in which it is: blobs, documents, and at last the root under its name.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// Where the image comes from.
    pub source: String,
    /// Where it goes.
    pub destination: String,
    /// Its manifest or index as it will be there.
    #[serde(serialize_with = "described")]
    pub root: Document,
    /// Whether the destination has that under the image's name already, so that it is not sent.
    pub root_is_there: bool,
    /// What a new index costs, if one is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trimmed: Option<Trimmed>,
    /// Everything that is listed and no index, in the order of the indexes.
    pub children: Vec<Child>,
    /// What is recorded of the purpose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// The blobs, each once, the longest first.
    pub blobs: Vec<BlobStep>,
    /// The manifests and indexes but the root, in the order in which they are sent.
    pub documents: Vec<DocumentStep>,
    /// The sums.
    pub totals: Totals,
    /// What should be known.
    pub notices: Vec<String>,
    /// What will be listed but not there.
    #[serde(skip)]
    pub(super) missing: Vec<Missing>,
    /// What the destination says of such indexes.
    #[serde(skip)]
    pub(super) policy: SparsePolicy,
}

/// What a new index costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trimmed {
    /// The digest of the index in the source.
    pub before: BlobDigest,
    /// What is said about that index, above all its signatures, and does not hold for the new one.
    pub lost: Vec<BlobDigest>,
}

/// A child of an index, or the only image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Child {
    /// The digest of its manifest.
    pub digest: BlobDigest,
    /// What it runs on, if that is listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// What becomes of it.
    pub fate: ChildFate,
    /// Why it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
    /// Whether the destination has its manifest before.
    pub is_there: bool,
    /// Bytes of its manifest and of its blobs, as far as they are known.
    pub len: u64,
    /// Its descriptor.
    #[serde(skip)]
    pub(super) listed: Descriptor,
}

/// What becomes of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChildFate {
    /// It is mirrored.
    Mirrored,
    /// It is not wanted.
    LeftOut,
    /// It is wanted, and the source does not have it.
    Absent,
}

/// A blob, and what becomes of it.
#[derive(Debug, Clone, Serialize)]
pub struct BlobStep {
    /// The blob.
    #[serde(flatten)]
    pub blob: Descriptor,
    /// What becomes of it.
    pub fate: BlobFate,
    /// Its content, if it is made here.
    #[serde(skip)]
    pub(super) content: Option<Vec<u8>>,
}

impl BlobStep {
    /// Puts a step together.
    pub(super) fn new(blob: Descriptor, content: Option<Vec<u8>>, fate: BlobFate) -> Self {
        // Nobody else has what is made here.
        let fate = if content.is_some() && fate != BlobFate::There { BlobFate::Copy } else { fate };
        Self { blob, fate, content }
    }
}

/// What becomes of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobFate {
    /// Its bytes are moved.
    Copy,
    /// The registry is asked to take it from another of its repositories; where it does not, its bytes are moved.
    Mount(Reference),
    /// Nothing: it is there.
    There,
}

impl Serialize for BlobFate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Copy => serializer.serialize_str("copy"),
            Self::Mount(from) => serializer.collect_str(&format_args!("mount {from}")),
            Self::There => serializer.serialize_str("there"),
        }
    }
}

/// A manifest or index, and what becomes of it.
#[derive(Debug, Clone, Serialize)]
pub struct DocumentStep {
    /// The document.
    #[serde(serialize_with = "described")]
    pub document: Document,
    /// What it is.
    #[serde(flatten)]
    pub role: Role,
    /// Whether the destination has it, so that it is not sent.
    pub is_there: bool,
}

/// What a document is to an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "role")]
pub enum Role {
    /// A child of an index, or an index below the root.
    Child,
    /// Something that is said about another document.
    Referrer {
        /// What it is about.
        subject: BlobDigest,
    },
    /// The same, found by a tag.
    Tagged {
        /// What it is about.
        subject: BlobDigest,
        /// The tag.
        tag: String,
    },
    /// The record of the purpose.
    Intent,
}

/// The sums of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    /// Blobs whose bytes are moved.
    pub copy: Tally,
    /// Blobs that another repository of the registry has.
    pub mount: Tally,
    /// Blobs that are there.
    pub there: Tally,
    /// Documents that are sent, the root included.
    pub documents: Tally,
}

/// A number of things and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// How many bytes.
    pub bytes: u64,
}

impl Tally {
    /// Counts one more.
    pub(super) fn add(&mut self, bytes: u64) {
        self.count = self.count.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

impl Plan {
    /// Tells whether something will be listed that is not there.
    pub fn is_sparse(&self) -> bool {
        !self.missing.is_empty()
    }

    /// Finds a child that needs a blob.
    pub(super) fn user_of(&self, blob: &BlobDigest) -> Option<&Child> {
        let needs = |document: &Document| match document {
            Document::Manifest(manifest) => blobs_of(manifest.value()).any(|needed| needed.digest == *blob),
            Document::Index(_) => false,
        };
        let documents = self.documents.iter().map(|step| &step.document).filter(|document| needs(document));
        let digests: Vec<BlobDigest> = documents.map(|document| document.descriptor().digest).collect();
        self.children.iter().find(|child| digests.contains(&child.digest))
    }
}

/// Lists the blobs of a manifest.
pub(super) fn blobs_of(manifest: &Manifest) -> impl Iterator<Item = &Descriptor> {
    [&manifest.config].into_iter().chain(&manifest.layers)
}

fn described<S: Serializer>(document: &Document, serializer: S) -> Result<S::Ok, S::Error> {
    document.descriptor().serialize(serializer)
}
