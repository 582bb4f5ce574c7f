//! What a layer needs of the store.

use chunked::toc::Toc;
use chunked::{Content, ContentDigest};

/// Lists the contents that a layer consists of, by digest and length. One may come several times.
pub fn of(toc: &Toc) -> impl Iterator<Item = (ContentDigest, u64)> + '_ {
    let contents =
        toc.entries.iter().filter_map(|entry| entry.content.as_ref().map(|content| (entry, content)));
    contents.filter_map(|(entry, content)| Some((digest_of(content)?, entry.size)))
}

/// Returns the digest of a whole file. A file in one piece may leave it to the chunk; one in several may have none.
pub fn digest_of(content: &Content) -> Option<ContentDigest> {
    content.digest.or(match content.chunks.as_slice() {
        [only] => only.digest,
        _ => None,
    })
}
