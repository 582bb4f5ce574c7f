//! What is needed.

use std::collections::{HashMap, HashSet};

use chunked::BlobDigest;
use registry::Descriptor;
use registry::layout::name_of;

use super::Untagged;
use crate::error::Error;
use crate::repository::{Contents, Repository, blobs, children};

/// Returns the digests of everything that the roots need and that has to stay with it, here or not.
pub(super) fn kept(
    repository: &Repository,
    contents: &Contents,
    untagged: Untagged,
) -> Result<HashSet<BlobDigest>, Error> {
    let mut referrers: HashMap<BlobDigest, Vec<&Descriptor>> = HashMap::new();
    for node in contents.nodes() {
        if let Some(subject) = node.summary.as_ref().and_then(|summary| summary.subject) {
            referrers.entry(subject).or_default().push(&node.descriptor);
        }
    }
    let is_root = |manifest: &&Descriptor| untagged == Untagged::Keep || name_of(manifest).is_some();
    let mut waiting: Vec<Descriptor> = contents.index.manifests.iter().filter(is_root).cloned().collect();
    let mut kept = HashSet::new();
    while let Some(needed) = waiting.pop() {
        if !kept.insert(needed.digest) || needed.media_type.document().is_none() {
            continue;
        }
        waiting.extend(referrers.remove(&needed.digest).into_iter().flatten().cloned());
        if let Some(document) = repository.document(&needed)? {
            waiting.extend(children(&document).iter().cloned());
            kept.extend(blobs(&document).into_iter().map(|blob| blob.digest));
        } else if repository.open(&needed.digest)?.is_some() {
            let path = repository.directory().path().to_owned();
            return Err(Error::Damaged { path, digest: Box::new(needed.digest) });
        }
    }
    Ok(kept)
}
