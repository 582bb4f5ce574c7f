//! How complete a mirror is: every child that is listed, whether it is there, and whether that is as it is meant to be.

use std::fmt;
use std::num::NonZeroUsize;

use chunked::BlobDigest;
use serde::{Deserialize, Serialize};

use super::beside::ENDINGS;
use super::crew;
use super::intent::{self, Intent};
use super::select::{self, Selection, Why};
use super::survey::{self, Content, Node};
use crate::client::referrers_tag;
use crate::descriptor::{Descriptor, null_is_empty};
use crate::error::Error;
use crate::image::{Document, Manifest, parse_json};
use crate::media_type::LayerKind;
use crate::platform::Selector;
use crate::source::ImageSource;

/// The type of the payload that cosign signs.
const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// What the types of artifacts that are signatures begin with: of notation, and of cosign.
const SIGNATURES: [&str; 3] = [
    "application/vnd.cncf.notary.signature",
    "application/vnd.dev.cosign.artifact.sig",
    "application/vnd.dev.sigstore.bundle",
];
/// Longest payload of a signature, in bytes.
const PAYLOAD_LEN_MAX: u64 = 64 << 10;

/// What is expected of a mirror.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Platforms that may be missing, beside what the mirror itself records.
    pub allowed: Vec<Selector>,
    /// Platforms that must be there.
    pub required: Vec<Selector>,
    /// Requests at once.
    pub jobs: NonZeroUsize,
}

/// How complete an image is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Completeness {
    /// Which image.
    pub image: String,
    /// The digest of its manifest or index.
    pub digest: BlobDigest,
    /// What all of it comes to.
    pub verdict: Verdict,
    /// Everything that is listed.
    pub children: Vec<Child>,
    /// Manifests about the index itself, but for records of mirroring.
    pub referrers: u64,
    /// The signatures of the index itself.
    pub signatures: Vec<Signature>,
    /// What is recorded of the purpose.
    pub intents: Vec<Intent>,
}

/// What a mirror comes to, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// All that is listed is there.
    Complete,
    /// What is not there is missing on purpose.
    Sparse,
    /// Something is missing that should be there.
    Broken,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Complete => "complete",
            Self::Sparse => "sparse on purpose",
            Self::Broken => "broken",
        })
    }
}

/// A child of an index, or the only image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Child {
    /// The digest of its manifest.
    pub digest: BlobDigest,
    /// What it runs on, if that is listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Whether it is there.
    pub state: State,
    /// The blobs that are missing or of another length.
    pub missing_blobs: Vec<BlobDigest>,
    /// Bytes of its manifest and of the blobs that are there.
    pub bytes: u64,
    /// Manifests about it.
    pub referrers: u64,
}

/// Whether a child is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is, with all its blobs.
    Present,
    /// It is, but some of its blobs are not.
    BlobsMissing,
    /// It is not, on purpose.
    LeftOut,
    /// It is not, and should be.
    Missing,
}

/// A signature of the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Signature {
    /// The digest of its manifest.
    pub digest: BlobDigest,
    /// Whether it names the digest of this index. Keys are not checked.
    pub names_index: bool,
}

/// Looks at everything that an image lists; only documents are read.
///
/// # Errors
/// When the image is not there, when a document is damaged, and when the source cannot be read.
pub fn examine(source: &dyn ImageSource, expected: &Expected) -> Result<Completeness, Error> {
    let jobs = expected.jobs.get();
    let tree = survey::survey(source, &Selection::default(), jobs)?;
    let digest = tree.listed.digest;
    let intents = intent::read(source, &digest)?;
    let leaves = tree.leaves();
    let children = crew::each(&mut vec![(); jobs], &leaves, |(), leaf| {
        child(source, leaf, |leaf| is_allowed(leaf, &leaves, &intents, expected))
    })?;
    let referrers = source.referrers(&digest)?;
    let signatures = signatures(source, &digest, &referrers)?;
    Ok(Completeness {
        image: source.reference().to_string(),
        digest,
        verdict: verdict(&children),
        children,
        referrers: referrers.iter().filter(|referrer| !intent::is_record(referrer)).count() as u64,
        signatures,
        intents,
    })
}

fn verdict(children: &[Child]) -> Verdict {
    let of_child = |child: &Child| match child.state {
        State::Present => Verdict::Complete,
        State::LeftOut => Verdict::Sparse,
        State::BlobsMissing | State::Missing => Verdict::Broken,
    };
    children.iter().map(of_child).max().unwrap_or(Verdict::Complete)
}

/// Tells whether a child may be missing: the mirror says so or the caller, and nobody says otherwise. An attestation may if
/// what it attests may.
fn is_allowed(leaf: &Node, leaves: &[&Node], intents: &[Intent], expected: &Expected) -> bool {
    let subject = leaf.listed.attests();
    let attested = subject.and_then(|subject| leaves.iter().find(|other| other.listed.digest == subject));
    let platform = attested.unwrap_or(&leaf).listed.platform.as_ref();
    let is_in = |selectors: &[Selector]| {
        platform.is_some_and(|platform| selectors.iter().any(|selector| selector.matches(platform)))
    };
    let digest = &leaf.listed.digest;
    let is_recorded = intents.iter().any(|intent| intent.leaves_out(digest))
        && !intents.iter().any(|intent| intent.mirrors(digest));
    !is_in(&expected.required) && (is_recorded || is_in(&expected.allowed))
}

fn child(source: &dyn ImageSource, leaf: &Node, is_allowed: impl Fn(&Node) -> bool) -> Result<Child, Error> {
    let mut child = Child {
        digest: leaf.listed.digest,
        platform: select::platform(&leaf.listed).map(ToString::to_string),
        state: State::Present,
        missing_blobs: Vec::new(),
        bytes: leaf.listed.len,
        referrers: 0,
    };
    match &leaf.content {
        Content::Manifest(manifest) => {
            child.add_blobs(source, manifest.value())?;
            child.referrers = source.referrers(&child.digest)?.len() as u64;
        }
        Content::Absent | Content::Left(Why::Attestation) => {
            child.bytes = 0;
            child.state = if is_allowed(leaf) { State::LeftOut } else { State::Missing };
        }
        Content::Blob | Content::Index(..) | Content::Left(_) => {}
    }
    Ok(child)
}

impl Child {
    fn add_blobs(&mut self, source: &dyn ImageSource, manifest: &Manifest) -> Result<(), Error> {
        for blob in [&manifest.config].into_iter().chain(&manifest.layers) {
            let is_there = match source.blob(blob) {
                Ok(found) => found.is_some(),
                Err(Error::BlobLen { .. }) => false,
                Err(error) => return Err(error),
            };
            if is_there {
                self.bytes = self.bytes.saturating_add(blob.len);
            } else if blob.media_type.layer() != LayerKind::Foreign {
                self.state = State::BlobsMissing;
                self.missing_blobs.push(blob.digest);
            }
        }
        Ok(())
    }
}

/// Finds the signatures of the index: referrers, and what cosign tags.
fn signatures(
    source: &dyn ImageSource,
    index: &BlobDigest,
    referrers: &[Descriptor],
) -> Result<Vec<Signature>, Error> {
    let is_signature = |referrer: &&Descriptor| {
        let artifact_type = referrer.artifact_type.as_deref().unwrap_or_default();
        SIGNATURES.iter().any(|start| artifact_type.starts_with(start))
    };
    let mut found = Vec::new();
    for referrer in referrers.iter().filter(is_signature) {
        let document = source.document(&referrer.bare())?;
        let subject = document.as_ref().and_then(Document::subject);
        found.push(Signature { digest: referrer.digest, names_index: subject == Some(*index) });
    }
    let [ending, ..] = ENDINGS;
    if let Some(tagged) = source.tagged(&format!("{}{ending}", referrers_tag(index)))? {
        let names_index = match source.document(&tagged)? {
            Some(Document::Manifest(manifest)) => names(source, manifest.value(), index)?,
            _ => false,
        };
        found.push(Signature { digest: tagged.digest, names_index });
    }
    Ok(found)
}

/// Tells whether a payload that cosign signed names the index.
fn names(source: &dyn ImageSource, manifest: &Manifest, index: &BlobDigest) -> Result<bool, Error> {
    let payloads = manifest.layers.iter().filter(|layer| layer.media_type.as_str() == SIMPLE_SIGNING);
    for layer in payloads.filter(|layer| layer.len <= PAYLOAD_LEN_MAX) {
        let bytes = source.small_blob(layer)?;
        if bytes.and_then(|bytes| signed_digest(&bytes)).as_ref() == Some(index) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads the digest in a payload of simple signing (containers-signature(5)).
fn signed_digest(bytes: &[u8]) -> Option<BlobDigest> {
    #[derive(Deserialize)]
    struct Payload {
        critical: Critical,
    }
    #[derive(Deserialize)]
    struct Critical {
        image: Image,
    }
    #[derive(Deserialize)]
    struct Image {
        #[serde(rename = "docker-manifest-digest", default, deserialize_with = "null_is_empty")]
        digest: String,
    }
    let payload: Payload = parse_json(bytes, PAYLOAD_LEN_MAX).ok()?;
    payload.critical.image.digest.parse().ok()
}
