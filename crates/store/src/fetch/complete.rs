//! Makes an object of a file whose chunks are all here.

use chunked::digest::Hasher;
use chunked::{ChunkKind, ContentDigest, FileRange};

use super::Fetch;
use super::contents::Wanted;
use super::failure::Failure;
use super::proof::pieces;
use crate::partials::Partial;

/// Makes the partial of a content an object, if `found`, the digest of all that was read of it, is right.
pub(super) fn complete(fetch: &Fetch<'_>, wanted: &Wanted<'_>, found: ContentDigest) -> Result<(), Failure> {
    let lost = || Failure::Lost { digest: wanted.digest };
    let Some(partial) = fetch.store.partials().open(&wanted.digest, wanted.chunks)? else {
        // Somebody else was faster.
        return if found == wanted.digest { Ok(()) } else { Err(lost()) };
    };
    // Somebody who cuts the same content otherwise has begun it anew.
    if !(0..wanted.chunks.len()).all(|chunk| partial.has(chunk)) {
        return Err(lost());
    }
    if found != wanted.digest {
        let first = forget_wrong(fetch, &partial, wanted)?;
        return Err(first.unwrap_or_else(|| fetch.mismatch(wanted, found)));
    }
    if !is_still_right(&partial, wanted) {
        forget_wrong(fetch, &partial, wanted)?;
        return Err(lost());
    }
    Ok(partial.commit()?)
}

/// Tells whether the file holds what was read of it before. Chunks with a digest do: nobody writes any other bytes there.
fn is_still_right(partial: &Partial<'_>, wanted: &Wanted<'_>) -> bool {
    let is_sure = |chunk| wanted.digest_of(chunk).is_some();
    let data = wanted.chunks.iter().enumerate().filter(|(_, chunk)| chunk.kind == ChunkKind::Data);
    data.map(|(index, _)| index).all(is_sure)
        || hash(partial, FileRange::saturating(0, wanted.size)) == Some(wanted.digest)
}

/// Finds the chunks that are not what the TOC promises, so that the next pull asks for them again, and says what is
/// wrong with the first. A chunk without a digest of its own is suspect.
fn forget_wrong(
    fetch: &Fetch<'_>,
    partial: &Partial<'_>,
    wanted: &Wanted<'_>,
) -> Result<Option<Failure>, Failure> {
    let mut first = None;
    for (index, chunk) in wanted.chunks.iter().enumerate().filter(|(_, chunk)| chunk.kind == ChunkKind::Data)
    {
        let (found, expected) = (hash(partial, chunk.file), wanted.digest_of(index));
        if expected.is_none() || found != expected {
            partial.forget(index)?;
            first = first.or(found.filter(|_| chunk.digest.is_some()).map(|found| (index, found)));
        }
    }
    Ok(first.map(|(index, found)| fetch.wrong_chunk(wanted, index, found)))
}

/// Hashes a stretch of the file; `None` when it cannot be read.
fn hash(partial: &Partial<'_>, range: FileRange) -> Option<ContentDigest> {
    let mut hasher = Hasher::new();
    pieces(partial.file(), range, &mut |bytes| hasher.update(bytes)).ok()?;
    Some(hasher.finish_content())
}
