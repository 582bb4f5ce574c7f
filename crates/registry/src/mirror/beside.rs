//! What is said about an image: signatures, attestations and bills of materials, by subject or by the tags of cosign.

use std::collections::HashSet;

use chunked::BlobDigest;

use super::budget::Budget;
use super::{crew, intent};
use crate::client::referrers_tag;
use crate::descriptor::Descriptor;
use crate::error::Error;
use crate::image::Document;
use crate::source::ImageSource;

/// What cosign adds to the digest in a tag: signatures, attestations, bills of materials.
pub(super) const ENDINGS: [&str; 3] = [".sig", ".att", ".sbom"];
/// How far is followed what is said about what is said: a signature of a bill of materials is two deep.
const ROUNDS_MAX: usize = 4;

/// Something that is said about a manifest or index.
#[derive(Debug, Clone)]
pub(super) struct Said {
    /// What it is about.
    pub(super) subject: BlobDigest,
    /// The tag that it is found by; without one it names its subject itself.
    pub(super) tag: Option<String>,
    /// Its own documents, children before parents.
    pub(super) documents: Vec<Document>,
}

impl Said {
    /// Returns what is found first: the last of its documents.
    pub(super) fn root(&self) -> Option<&Document> {
        self.documents.last()
    }
}

/// Finds everything that is said about `subjects`, and about that. Records of mirroring are left out: a mirror has its own.
///
/// # Errors
/// When it cannot be read, or is too much.
pub(super) fn gather(
    source: &dyn ImageSource,
    subjects: Vec<BlobDigest>,
    jobs: usize,
) -> Result<Vec<Said>, Error> {
    let mut seen: HashSet<BlobDigest> = subjects.iter().copied().collect();
    let budget = Budget::new(source);
    let (mut all, mut next) = (Vec::new(), subjects);
    for _ in 0..ROUNDS_MAX {
        let found = crew::each(&mut vec![(); jobs], &next, |(), subject| about(&budget, subject))?;
        next = Vec::new();
        for said in found.into_iter().flatten() {
            next.extend(
                said.root().map(|root| root.descriptor().digest).filter(|digest| seen.insert(*digest)),
            );
            all.push(said);
        }
        if next.is_empty() {
            break;
        }
    }
    Ok(all)
}

/// Finds what is said about one manifest or index.
fn about(budget: &Budget<'_>, subject: &BlobDigest) -> Result<Vec<Said>, Error> {
    let mut found = Vec::new();
    let referrers = budget.source.referrers(subject)?;
    budget.charge(referrers.len())?;
    for referrer in referrers.iter().filter(|referrer| !intent::is_record(referrer)) {
        let documents = documents(budget, &referrer.bare())?;
        found.extend(documents.map(|documents| Said { subject: *subject, tag: None, documents }));
    }
    for ending in ENDINGS {
        let tag = format!("{}{ending}", referrers_tag(subject));
        let Some(tagged) = budget.source.tagged(&tag)? else { continue };
        let documents = documents(budget, &tagged)?;
        found.extend(documents.map(|documents| Said { subject: *subject, tag: Some(tag), documents }));
    }
    Ok(found)
}

/// Reads a document and, of an index, what it lists directly; `None` when it is not there, as lists of referrers may be
/// longer than what is kept.
fn documents(budget: &Budget<'_>, descriptor: &Descriptor) -> Result<Option<Vec<Document>>, Error> {
    if descriptor.media_type.document().is_none() {
        return Ok(None);
    }
    let Some(root) = budget.document(descriptor)? else { return Ok(None) };
    let mut documents = Vec::new();
    if let Document::Index(index) = &root {
        let listed = &index.value().manifests;
        budget.charge(listed.len())?;
        for child in listed.iter().filter(|child| child.media_type.document().is_some()) {
            documents.extend(budget.document(child)?);
        }
    }
    documents.push(root);
    Ok(Some(documents))
}
