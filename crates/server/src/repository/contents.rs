//! What a repository holds: its tags, and every manifest that they and the other entries of its list lead to.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use chunked::BlobDigest;
use registry::descriptor::Annotations;
use registry::layout::name_of;
use registry::{Descriptor, Document, Index, Platform};

use crate::error::Error;

/// Most manifests of a repository; each takes some 500 bytes of memory, and more for what its index says of it.
const MANIFESTS_MAX: usize = 200_000;
/// Most entries of all the indexes of a repository, as an index may list one manifest again and again.
const LISTINGS_MAX: usize = 1_000_000;
/// Most entries of an index that is pushed.
pub(crate) const CHILDREN_MAX: usize = 10_000;

/// A repository at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Contents {
    /// The list of the layout.
    pub(crate) index: Index,
    nodes: HashMap<BlobDigest, Node>,
}

/// A manifest or index that is listed.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Type, digest and length.
    pub(crate) descriptor: Descriptor,
    /// What it says; nothing when it is not here.
    pub(crate) summary: Option<Arc<Summary>>,
    /// The indexes that list it.
    pub(crate) listed: Vec<Listing>,
}

/// Where a manifest is listed.
#[derive(Debug, Clone)]
pub(crate) struct Listing {
    /// The index.
    pub(crate) index: BlobDigest,
    /// The platform that the index gives it.
    pub(crate) platform: Option<Platform>,
}

/// What has to be known of a manifest beside its bytes.
#[derive(Debug)]
pub(crate) struct Summary {
    /// What an index lists.
    pub(crate) children: Vec<Descriptor>,
    /// The manifest that it is about.
    pub(crate) subject: Option<BlobDigest>,
    /// What the list of referrers says of it.
    artifact_type: Option<String>,
    annotations: Annotations,
}

impl Contents {
    /// Follows a list. `read` gives what a manifest says, or nothing when it is not here or damaged.
    pub(crate) fn load(
        index: Index,
        mut read: impl FnMut(&Descriptor) -> Result<Option<Arc<Summary>>, Error>,
        too_many: impl Fn(usize) -> Error,
    ) -> Result<Self, Error> {
        let mut nodes: HashMap<BlobDigest, Node> = HashMap::new();
        let roots = index.manifests.iter().map(|root| (root.clone(), None));
        let mut queue: VecDeque<(Descriptor, Option<Listing>)> = roots.collect();
        let mut listings = 0_usize;
        while let Some((listed, listing)) = queue.pop_front() {
            if listed.media_type.document().is_none() {
                continue;
            }
            if let Some(node) = nodes.get_mut(&listed.digest) {
                node.listed.extend(listing);
                continue;
            }
            if nodes.len() >= MANIFESTS_MAX {
                return Err(too_many(MANIFESTS_MAX));
            }
            let summary = read(&listed)?;
            listings = listings.saturating_add(summary.as_ref().map_or(0, |summary| summary.children.len()));
            if listings > LISTINGS_MAX {
                return Err(too_many(LISTINGS_MAX));
            }
            for child in summary.iter().flat_map(|summary| &summary.children) {
                let listing = Listing { index: listed.digest, platform: child.platform.clone() };
                queue.push_back((child.clone(), Some(listing)));
            }
            let node = Node { descriptor: listed.bare(), summary, listed: listing.into_iter().collect() };
            nodes.insert(listed.digest, node);
        }
        Ok(Self { index, nodes })
    }

    /// Finds a manifest that is listed, whether it is here or not.
    pub(crate) fn node(&self, digest: &BlobDigest) -> Option<&Node> {
        self.nodes.get(digest)
    }

    /// Lists the manifests and what is known of them.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// Finds what a tag names; the last one, should others have written it twice.
    pub(crate) fn tagged(&self, tag: &str) -> Option<&Descriptor> {
        self.index.manifests.iter().rev().find(|manifest| name_of(manifest) == Some(tag))
    }

    /// Lists the tags in order, with what they name.
    pub(crate) fn tags(&self) -> BTreeMap<&str, &Descriptor> {
        let named = |manifest| name_of(manifest).map(|name| (name, manifest));
        self.index.manifests.iter().filter_map(named).collect()
    }

    /// Lists the manifests that are about another one, by digest.
    pub(crate) fn referrers(&self, subject: &BlobDigest) -> Vec<Descriptor> {
        let referrer = |node: &Node| {
            let summary =
                node.summary.as_ref().filter(|summary| summary.subject.as_ref() == Some(subject))?;
            Some(Descriptor {
                artifact_type: summary.artifact_type.clone(),
                annotations: summary.annotations.clone(),
                ..node.descriptor.clone()
            })
        };
        let mut list: Vec<_> = self.nodes.values().filter_map(referrer).collect();
        list.sort_by_key(|referrer| referrer.digest);
        list
    }

    /// Tells whether an index that is here lists it.
    pub(crate) fn is_child(&self, digest: &BlobDigest) -> bool {
        self.nodes.get(digest).is_some_and(|node| !node.listed.is_empty())
    }

    /// Says of a manifest that is not here where it is listed, and which platforms of that index are here.
    pub(crate) fn absent(&self, digest: &BlobDigest) -> Option<Absent> {
        let listing = self.nodes.get(digest)?.listed.first()?;
        let siblings = &self.nodes.get(&listing.index)?.summary.as_ref()?.children;
        let is_here =
            |child: &&Descriptor| self.nodes.get(&child.digest).is_some_and(|node| node.summary.is_some());
        let platforms = siblings.iter().filter(is_here).filter_map(|child| child.platform.as_ref());
        let mut present: Vec<_> = platforms.map(ToString::to_string).collect();
        present.dedup();
        Some(Absent { listing: listing.clone(), present })
    }
}

/// A manifest that an index lists and that is not here.
#[derive(Debug, Clone)]
pub(crate) struct Absent {
    /// Where it is listed.
    pub(crate) listing: Listing,
    /// The platforms of that index that are here.
    pub(crate) present: Vec<String>,
}

impl Summary {
    /// Takes from a document what has to be known of it.
    pub(crate) fn of(document: &Document) -> Self {
        match document {
            Document::Manifest(manifest) => {
                let manifest = manifest.value();
                let artifact_type = manifest.artifact_type.clone().filter(|text| !text.is_empty());
                let config_type = || manifest.config.media_type.as_str().to_owned();
                Self {
                    children: Vec::new(),
                    subject: manifest.subject.as_ref().map(|subject| subject.digest),
                    artifact_type: Some(artifact_type.unwrap_or_else(config_type)),
                    annotations: manifest.annotations.clone(),
                }
            }
            Document::Index(index) => Self {
                children: index.value().manifests.iter().map(kept).collect(),
                subject: index.value().subject.as_ref().map(|subject| subject.digest),
                artifact_type: index.value().artifact_type.clone(),
                annotations: index.value().annotations.clone(),
            },
        }
    }
}

/// Drops what is said of a child beyond what it is and what it runs on.
fn kept(child: &Descriptor) -> Descriptor {
    Descriptor { platform: child.platform.clone(), ..child.bare() }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn indexes_that_list_one_manifest_again_and_again_are_too_much_at_some_point() {
        let descriptor = |name: String| {
            let media_type = "application/vnd.oci.image.index.v1+json".to_owned();
            Descriptor::new(media_type.into(), BlobDigest::of(name.as_bytes()), 1)
        };
        let load = |count: usize| {
            let child = descriptor("child".to_owned());
            let summary = Arc::new(Summary {
                children: vec![child.clone(); CHILDREN_MAX],
                subject: None,
                artifact_type: None,
                annotations: Annotations::default(),
            });
            let manifests = (0..count).map(|number| descriptor(number.to_string())).collect();
            let index =
                Index { manifests, ..serde_json::from_str(r#"{"schemaVersion":2,"manifests":[]}"#).unwrap() };
            let read =
                |listed: &Descriptor| Ok((listed.digest != child.digest).then(|| Arc::clone(&summary)));
            Contents::load(index, read, |limit| Error::TooManyManifests { path: PathBuf::new(), limit })
        };
        assert!(load(3).is_ok());
        assert!(load(LISTINGS_MAX / CHILDREN_MAX + 1).is_err());
    }
}
