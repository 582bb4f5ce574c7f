//! A registry that does not take an index some of whose children are not there: what it misses, and what would change that.

use std::fmt;
use std::sync::Arc;

use chunked::BlobDigest;
use serde::Serialize;

use super::advice;
use super::destination::Destination;
use super::plan::Plan;
use crate::client::{Detail, Failure, SparsePolicy};
use crate::descriptor::Descriptor;
use crate::error::{Error, Names};
use crate::image::{Document, Exact, Index};
use crate::media_type::MediaType;
use crate::reference::Reference;

/// A child that is listed and not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The digest of its manifest.
    pub digest: BlobDigest,
    /// What it runs on, if that is listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Its descriptor.
    #[serde(skip)]
    pub(super) listed: Descriptor,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.platform {
            Some(platform) => write!(f, "{platform} as {}", self.digest),
            None => self.digest.fmt(f),
        }
    }
}

/// A refusal, in terms of platforms.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{place}` refuses index {index} without {}; {setting}", Names(&named(missing)))]
pub struct Refusal {
    /// Where the index was to go.
    pub place: Reference,
    /// The digest of the index.
    pub index: BlobDigest,
    /// What the registry wants to have.
    pub missing: Vec<Missing>,
    /// What would make it take the index.
    pub setting: String,
}

fn named(missing: &[Missing]) -> Vec<String> {
    missing.iter().map(ToString::to_string).collect()
}

/// Asks the destination whether it will take the index, before any byte is moved; returns what it says of such.
///
/// # Errors
/// [`Error::SparseRefused`] when it says that it will not.
pub(super) fn foresee(
    destination: &Destination,
    root: &Document,
    missing: &[Missing],
) -> Result<SparsePolicy, Error> {
    let Some(sink) = destination.first() else { return Ok(SparsePolicy::Unknown) };
    let policy = sink.sparse_policy()?;
    let is_wanted = |missing: &&Missing| policy.requires(&missing.listed);
    let wanted: Vec<Missing> = missing.iter().filter(is_wanted).cloned().collect();
    match wanted.is_empty() {
        true => Ok(policy),
        false => Err(refused(&destination.reference, root, wanted, missing, &policy)),
    }
}

/// Finds out whether the destination takes an index without `missing`, with one that lists nothing else.
///
/// # Errors
/// [`Error::SparseRefused`] when it does not.
pub(super) fn try_out(destination: &mut Destination, plan: &Plan) -> Result<(), Error> {
    let Document::Index(index) = &plan.root else { return Ok(()) };
    let is_missing =
        |listed: &&Descriptor| plan.missing.iter().any(|missing| missing.digest == listed.digest);
    let listed = index.value().manifests.iter().filter(is_missing).cloned().collect();
    let place = destination.reference.clone();
    let trial = Exact::encode(MediaType::OCI_INDEX, Index::of(listed))
        .map_err(|source| Error::NewDocument { place: Box::new(place.clone()), source })?;
    let Some(sink) = destination.sinks.first_mut() else { return Ok(()) };
    let tried = sink.try_document(&Document::Index(Arc::new(trial)));
    tried.map_err(|error| explain(error, &plan.policy, &place, &plan.root, &plan.missing))
}

/// Says of a refused index which platforms are missed; any other failure stays what it is.
pub(super) fn explain(
    error: Error,
    policy: &SparsePolicy,
    place: &Reference,
    root: &Document,
    missing: &[Missing],
) -> Error {
    let Some(detail) = detail(&error) else { return error };
    let digests = detail.digests();
    let is_missing = |digest: &BlobDigest| missing.iter().any(|gap| gap.digest == *digest);
    let is_named = |missing: &&Missing| digests.is_empty() || digests.contains(&missing.digest);
    let named: Vec<Missing> = missing.iter().filter(is_named).cloned().collect();
    // Where something else is missed, what was brought there is gone.
    match !named.is_empty() && digests.iter().all(is_missing) {
        true => refused(place, root, named, missing, policy),
        false => error,
    }
}

fn detail(error: &Error) -> Option<&Detail> {
    let Error::Registry { source, .. } = error else { return None };
    match &**source {
        Failure::Unexpected { detail, .. } | Failure::Missing { detail, .. } => {
            Some(detail).filter(|detail| detail.misses_references())
        }
        _ => None,
    }
}

fn refused(
    place: &Reference,
    root: &Document,
    wanted: Vec<Missing>,
    missing: &[Missing],
    policy: &SparsePolicy,
) -> Error {
    let present = present(root, missing);
    let setting = advice::setting(policy, &present);
    let index = root.descriptor().digest;
    Error::SparseRefused(Box::new(Refusal { place: place.clone(), index, missing: wanted, setting }))
}

/// Names the platforms that will be there.
fn present(root: &Document, missing: &[Missing]) -> Vec<String> {
    let Document::Index(index) = root else { return Vec::new() };
    let is_there = |listed: &&Descriptor| !missing.iter().any(|missing| missing.digest == listed.digest);
    let mut names: Vec<String> = Vec::new();
    for listed in index.value().manifests.iter().filter(is_there) {
        let name = super::select::platform(listed).map(ToString::to_string);
        names.extend(name.filter(|name| !names.contains(name)));
    }
    names
}
