//! What a layer needs of the store.

use chunked::{Content, ContentDigest, Entry};

/// Returns the content that an entry needs, by digest and length; `None` when it needs none.
pub fn of(entry: &Entry) -> Option<(ContentDigest, u64)> {
    Some((digest_of(entry.content.as_ref()?)?, entry.size))
}

/// Returns the digest of a whole file. A file in one piece may leave it to the chunk; one in several may have none.
pub fn digest_of(content: &Content) -> Option<ContentDigest> {
    content.digest.or(match content.chunks.as_slice() {
        [only] => only.digest,
        _ => None,
    })
}
