//! A new index of nothing but what is kept.

use std::sync::Arc;

use super::survey::{Content, Node};
use crate::descriptor::Descriptor;
use crate::image::{Document, Exact, Index, Invalid};

/// Writes indexes anew where something they list is left out. An index of which all is kept stays as it is.
///
/// # Errors
/// [`Invalid`] when an index cannot be written.
pub(super) fn trim(node: Node) -> Result<Node, Invalid> {
    let Node { listed, content } = node;
    let Content::Index(index, children) = content else { return Ok(Node { listed, content }) };
    let kept = children.into_iter().filter(Node::is_kept);
    let children: Vec<Node> = kept.map(trim).collect::<Result<_, _>>()?;
    let manifests: Vec<Descriptor> = children.iter().map(|child| child.listed.clone()).collect();
    if manifests == index.value().manifests {
        return Ok(Node { listed, content: Content::Index(index, children) });
    }
    let new = Exact::encode(index.media_type().clone(), Index { manifests, ..index.value().clone() })?;
    let Descriptor { media_type, digest, len, .. } = Document::Index(Arc::new(new.clone())).descriptor();
    let listed = listed.redirected(media_type, digest, len);
    Ok(Node { listed, content: Content::Index(Arc::new(new), children) })
}

#[cfg(test)]
mod tests {
    use chunked::BlobDigest;

    use super::*;
    use crate::media_type::MediaType;
    use crate::mirror::select::Why;

    fn leaf(name: &str, content: Content) -> Node {
        let digest = BlobDigest::of(name.as_bytes());
        Node { listed: Descriptor::new(MediaType::OCI_LAYER, digest, 1), content }
    }

    fn index(children: Vec<Node>) -> Node {
        let listed = children.iter().map(|child| child.listed.clone()).collect();
        let exact = Arc::new(Exact::encode(MediaType::OCI_INDEX, Index::of(listed)).unwrap());
        Node { listed: exact.descriptor(), content: Content::Index(exact, children) }
    }

    #[test]
    fn only_what_is_kept_is_listed_at_every_depth() {
        let left = || leaf("left", Content::Left(Why::Platform));
        let whole = index(vec![leaf("a", Content::Blob)]);
        let mixed = index(vec![leaf("b", Content::Blob), left()]);
        let nothing = index(vec![left()]);
        let root = index(vec![whole.clone(), mixed.clone(), nothing, leaf("c", Content::Absent)]);
        let trimmed = trim(root.clone()).unwrap();
        assert_ne!(trimmed.listed.digest, root.listed.digest);
        let Content::Index(exact, children) = &trimmed.content else { panic!() };
        assert_eq!(exact.value().manifests.len(), 2);
        assert_eq!(children[0].listed, whole.listed, "nothing of it is left out");
        assert_ne!(children[1].listed.digest, mixed.listed.digest);
        assert_eq!(trim(trimmed.clone()).unwrap().listed, trimmed.listed);
    }
}
