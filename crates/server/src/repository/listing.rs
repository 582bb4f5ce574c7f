//! Editing the list of a layout, `index.json`.
//!
//! It lists what nothing else leads to: every tag, and every manifest without a tag that no index here lists, such as
//! referrers and what lost its tag.

use std::collections::HashSet;

use chunked::BlobDigest;
use registry::descriptor::REF_NAME;
use registry::layout::name_of;
use registry::{Descriptor, Index};

/// Gives `manifest` the name `tag`. What had it before stays, without it.
pub(super) fn tag(index: &mut Index, manifest: Descriptor, tag: &str) {
    untag(index, tag);
    let mut named = manifest;
    named.annotations.insert(REF_NAME.to_owned(), tag.to_owned());
    index.manifests.push(named);
}

/// Takes a name away; `false` when there is none.
pub(super) fn untag(index: &mut Index, tag: &str) -> bool {
    let mut is_found = false;
    for manifest in &mut index.manifests {
        if name_of(manifest) == Some(tag) {
            manifest.annotations.remove(REF_NAME);
            is_found = true;
        }
    }
    is_found
}

/// Lists manifests without a name, if they are to be listed at all.
pub(super) fn add(index: &mut Index, manifests: impl IntoIterator<Item = Descriptor>) {
    index.manifests.extend(manifests);
}

/// Takes a manifest out, with all its names.
pub(super) fn remove(index: &mut Index, digest: &BlobDigest) {
    index.manifests.retain(|manifest| manifest.digest != *digest);
}

/// Takes out what is listed in vain: without a name, and a second time or by an index that is here.
pub(super) fn tidy(index: &mut Index, is_child: impl Fn(&BlobDigest) -> bool) {
    let named: HashSet<_> =
        index.manifests.iter().filter(|manifest| name_of(manifest).is_some()).map(|m| m.digest).collect();
    let mut seen = HashSet::new();
    index.manifests.retain(|manifest| {
        let digest = manifest.digest;
        name_of(manifest).is_some() || (!named.contains(&digest) && !is_child(&digest) && seen.insert(digest))
    });
}

#[cfg(test)]
mod tests {
    use registry::MediaType;

    use super::*;

    fn manifest(content: &str) -> Descriptor {
        Descriptor::new(MediaType::OCI_MANIFEST, BlobDigest::of(content.as_bytes()), 1)
    }

    fn listed(index: &Index) -> Vec<(BlobDigest, Option<&str>)> {
        index.manifests.iter().map(|manifest| (manifest.digest, name_of(manifest))).collect()
    }

    #[test]
    fn a_manifest_that_loses_its_tag_stays() {
        let (a, b) = (manifest("a"), manifest("b"));
        let mut index = Index::of(vec![]);
        tag(&mut index, a.clone(), "1");
        tag(&mut index, a.clone(), "2");
        tag(&mut index, b.clone(), "1");
        tidy(&mut index, |_| false);
        assert_eq!(listed(&index), [(a.digest, Some("2")), (b.digest, Some("1"))]);
        assert!(untag(&mut index, "2") && !untag(&mut index, "3"));
        tidy(&mut index, |_| false);
        assert_eq!(listed(&index), [(a.digest, None), (b.digest, Some("1"))]);
    }

    #[test]
    fn children_and_doubles_are_not_listed() {
        let (a, b) = (manifest("a"), manifest("b"));
        let mut index = Index::of(vec![]);
        add(&mut index, [a.clone(), b.clone(), b.clone()]);
        tidy(&mut index, |digest| *digest == a.digest);
        assert_eq!(listed(&index), [(b.digest, None)]);
        remove(&mut index, &b.digest);
        assert!(index.manifests.is_empty());
    }
}
