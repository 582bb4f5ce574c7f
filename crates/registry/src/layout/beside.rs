//! What a layout says about its images: signatures, attestations, bills of materials.
//!
//! The image-spec has no place for it. Manifests with a subject are listed in `index.json` without a name, as oras does;
//! what cosign knows by a tag is listed by that; and a list under the tag schema of registries is read as well.

use std::collections::HashSet;

use chunked::BlobDigest;

use super::tags;
use crate::client::referrers_tag;
use crate::descriptor::Descriptor;
use crate::error::Error;
use crate::image::{Document, Index};
use crate::media_type::DocumentKind;

/// Most manifests of a layout that are looked at for their subjects.
const LOOKED_AT_MAX: usize = 10_000;

/// A manifest and what it is about.
#[derive(Debug, Clone)]
pub(crate) struct Referrer {
    subject: BlobDigest,
    listed: Descriptor,
}

/// Finds everything in a layout that is about something else.
pub(crate) fn referrers(
    index: &Index,
    read: impl Fn(&Descriptor) -> Result<Option<Document>, Error>,
) -> Result<Vec<Referrer>, Error> {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    let documents = index.manifests.iter().filter(|listed| listed.media_type.document().is_some());
    for listed in documents.filter(|listed| seen.insert(listed.digest)).take(LOOKED_AT_MAX) {
        let Some(document) = read(listed)? else { continue };
        if let Some(subject) = document.subject() {
            found.push(Referrer { subject, listed: document.as_referrer() });
        }
    }
    Ok(found)
}

/// Lists what is about `subject`, by what was found and by the list under its tag.
pub(crate) fn of_subject(
    index: &Index,
    found: &[Referrer],
    subject: &BlobDigest,
    read: impl Fn(&Descriptor) -> Result<Option<Document>, Error>,
) -> Result<Vec<Descriptor>, Error> {
    let about = found.iter().filter(|referrer| referrer.subject == *subject);
    let mut list: Vec<Descriptor> = about.map(|referrer| referrer.listed.clone()).collect();
    let tagged = tags::find(index, Some(&referrers_tag(subject))).ok();
    let tagged = tagged.filter(|listed| listed.media_type.document() == Some(DocumentKind::Index));
    if let Some(Document::Index(more)) = tagged.map(&read).transpose()?.flatten() {
        for listed in &more.value().manifests {
            if !list.iter().any(|known| known.digest == listed.digest) {
                list.push(listed.clone());
            }
        }
    }
    Ok(list)
}

/// What is to be listed in `index.json` beside an image that is being written.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    referrers: Vec<Descriptor>,
    tagged: Vec<(String, Descriptor)>,
}

impl Beside {
    /// Takes a document that was written; one with a subject will be listed.
    pub(crate) fn add(&mut self, document: &Document) {
        if document.subject().is_some() {
            self.referrers.push(document.as_referrer());
        }
    }

    /// Takes the tag of a document that was written.
    pub(crate) fn tag(&mut self, tag: &str, document: &Document) {
        self.tagged.push((tag.to_owned(), document.descriptor()));
    }

    /// Lists what was taken.
    pub(crate) fn list(&self, index: &mut Index) {
        for (tag, document) in &self.tagged {
            tags::set(index, document.clone(), Some(tag));
        }
        self.referrers.iter().for_each(|referrer| tags::add_referrer(index, referrer));
    }
}
