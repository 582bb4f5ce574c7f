//! Where a mirror is written, and what is known to be there.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use chunked::{BlobDigest, Class};

use super::crew;
use super::intent::{self, Intent};
use super::plan::{BlobFate, Child, DocumentStep, Plan, Role};
use crate::descriptor::Descriptor;
use crate::error::Error;
use crate::image::Document;
use crate::reference::Reference;
use crate::sink::ImageSink;
use crate::transport::{self, Access};

/// An image being written by several threads, where the place allows.
pub struct Destination {
    pub(super) reference: Reference,
    /// One for each thread; the first one gets the documents.
    pub(super) sinks: Vec<Box<dyn ImageSink>>,
    access: Access,
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination").field("reference", &self.reference).finish_non_exhaustive()
    }
}

impl Destination {
    /// Starts the image that `reference` names, to be written by up to `jobs` threads.
    ///
    /// # Errors
    /// As [`transport::create`].
    pub fn create(reference: &Reference, access: &Access, jobs: usize) -> Result<Self, Error> {
        let threads = match reference {
            Reference::Registry(_) | Reference::OciLayout { .. } => jobs.max(1),
            // A tar is written from its start to its end.
            Reference::OciArchive { .. } | Reference::DockerArchive { .. } => 1,
        };
        let sinks = (0..threads).map(|_| transport::create(reference, access)).collect::<Result<_, _>>()?;
        Ok(Self { reference: reference.clone(), sinks, access: access.clone() })
    }

    /// Returns the one that gets the documents.
    pub(super) fn first(&self) -> Option<&dyn ImageSink> {
        self.sinks.first().map(Box::as_ref)
    }

    /// Asks what becomes of each of `blobs`, which `source` has.
    pub(super) fn fates(
        &mut self,
        blobs: &[Descriptor],
        source: &Reference,
        placed: &Placed,
    ) -> Result<Vec<BlobFate>, Error> {
        let reference = self.reference.clone();
        crew::each(&mut self.sinks, blobs, |sink, blob| {
            let is_there = placed.is_at(&blob.digest, &reference) || sink.has_blob(&blob.digest, blob.len)?;
            let neighbor = || placed.neighbor(&blob.digest, &reference);
            let beside = || is_neighbor(source, &reference).then(|| source.clone());
            Ok(match is_there {
                true => BlobFate::There,
                false => neighbor().or_else(beside).map_or(BlobFate::Copy, BlobFate::Mount),
            })
        })
    }

    /// Asks which children are there.
    pub(super) fn held(&mut self, children: &[Child]) -> Result<Vec<bool>, Error> {
        crew::each(&mut self.sinks, children, |sink, child| sink.has_document(&child.listed))
    }

    /// Asks which documents are there, and listed or tagged as they are to be.
    pub(super) fn look_for(&mut self, steps: Vec<DocumentStep>) -> Result<Vec<DocumentStep>, Error> {
        let found = crew::each(&mut self.sinks, &steps, |sink, step| {
            let descriptor = step.document.descriptor();
            let is_it = |other: &Descriptor| other.digest == descriptor.digest;
            Ok(match &step.role {
                Role::Child => sink.has_document(&descriptor)?,
                Role::Referrer { subject } => sink.referrers(subject)?.iter().any(is_it),
                Role::Tagged { tag, .. } => sink.tagged(Some(tag))? == Some(descriptor.digest),
                Role::Intent => false,
            })
        })?;
        Ok(steps.into_iter().zip(found).map(|(step, is_there)| DocumentStep { is_there, ..step }).collect())
    }

    /// Tells whether the image's name means `root` already.
    pub(super) fn has_root(&self, root: &Document) -> Result<bool, Error> {
        let there = self.first().map(|sink| sink.tagged(None)).transpose()?.flatten();
        Ok(there == Some(root.descriptor().digest))
    }

    /// Reads what is recorded there of the purpose of an index.
    pub(super) fn earlier_intents(&self, index: &BlobDigest) -> Result<Vec<Intent>, Error> {
        let listed = self.first().map(|sink| sink.referrers(index)).transpose()?.unwrap_or_default();
        if !listed.iter().any(intent::is_record) {
            return Ok(Vec::new());
        }
        // The index may be there by other names than the image's.
        let place = match &self.reference {
            Reference::Registry(name) => Reference::Registry(name.with_digest(index.0)),
            other => other.clone(),
        };
        match transport::open(&place, &self.access) {
            Ok(there) => intent::read(&*there, index),
            // Its name may be missing, after an interruption.
            Err(error) if error.class() == Class::Missing => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

/// The blobs that a run has brought to places, or found there: other images of the run take them from there.
#[derive(Debug, Default)]
pub struct Placed(Mutex<HashMap<BlobDigest, Vec<Reference>>>);

impl Placed {
    /// Takes note of all blobs of a plan, as if it had been carried out.
    pub fn assume(&self, plan: &Plan, destination: &Destination) {
        plan.blobs.iter().for_each(|step| self.note(step.blob.digest, &destination.reference));
    }

    /// Takes note of a blob that is there.
    pub(super) fn note(&self, digest: BlobDigest, place: &Reference) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let places = places.entry(digest).or_default();
        if !places.iter().any(|known| is_same_store(known, place)) {
            places.push(place.clone());
        }
    }

    fn is_at(&self, digest: &BlobDigest, place: &Reference) -> bool {
        self.find(digest, |known| is_same_store(known, place)).is_some()
    }

    fn neighbor(&self, digest: &BlobDigest, place: &Reference) -> Option<Reference> {
        self.find(digest, |known| is_neighbor(known, place))
    }

    fn find(&self, digest: &BlobDigest, fits: impl Fn(&Reference) -> bool) -> Option<Reference> {
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.get(digest)?.iter().find(|place| fits(place)).cloned()
    }
}

/// Tells whether what is in one is in the other: the same repository, the same layout.
fn is_same_store(one: &Reference, other: &Reference) -> bool {
    match (one, other) {
        (Reference::Registry(one), Reference::Registry(other)) => {
            one.host() == other.host() && one.repository() == other.repository()
        }
        (Reference::OciLayout { dir: one, .. }, Reference::OciLayout { dir: other, .. }) => one == other,
        _ => false,
    }
}

/// Tells whether they are repositories of one registry, which can take blobs from each other.
fn is_neighbor(one: &Reference, other: &Reference) -> bool {
    match (one, other) {
        (Reference::Registry(one), Reference::Registry(other)) => {
            one.host() == other.host() && one.repository() != other.repository()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_are_known_where_they_are_and_taken_from_next_door() {
        let [a, b, elsewhere] = ["h.io/a:1", "h.io/b:1", "other.io/a:1"].map(|name| name.parse().unwrap());
        let (placed, digest) = (Placed::default(), BlobDigest::of(b"blob"));
        assert!(!placed.is_at(&digest, &a) && placed.neighbor(&digest, &b).is_none());
        placed.note(digest, &a);
        assert!(placed.is_at(&digest, &"h.io/a:2".parse().unwrap()));
        assert_eq!(placed.neighbor(&digest, &b), Some(a.clone()));
        assert_eq!(placed.neighbor(&digest, &a), None);
        assert_eq!(placed.neighbor(&digest, &elsewhere), None);
    }
}
