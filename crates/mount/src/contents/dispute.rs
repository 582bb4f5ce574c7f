//! Layers that say different things of one content.
//!
//! A content is served by its digest, whichever layer it is asked for, and a chunk of it is seen once it has the digest that a
//! layer gives for it: whether the whole has its own digest is only known when all of it is here. So of a content in
//! several chunks, whoever lists it decides what is read until then, and every layer that is served must say the same.

use chunked::ContentDigest;

use super::row::ContentRow;
use super::table::Table;
use crate::error::Error;

/// Rows that are read at once.
const BATCH: u32 = 1024;

/// Finds a content that two layers have, but not of the same length and in the same chunks.
///
/// # Errors
/// Those of the file system.
pub(super) fn disputed(one: &Table, other: &Table) -> Result<Option<ContentDigest>, Error> {
    let (mut ours, mut theirs) = (Rows::of(one), Rows::of(other));
    let (mut left, mut right) = (ours.next()?, theirs.next()?);
    while let (Some(content), Some(found)) = (left, right) {
        if content.digest == found.digest && !is_same((one, &content), (other, &found))? {
            return Ok(Some(content.digest));
        }
        if content.digest <= found.digest {
            left = ours.next()?;
        }
        if found.digest <= content.digest {
            right = theirs.next()?;
        }
    }
    Ok(None)
}

/// Tells whether two layers say the same of a content. One in a single chunk is verified by its own digest, whatever else is
/// said of it.
fn is_same(one: (&Table, &ContentRow), other: (&Table, &ContentRow)) -> Result<bool, Error> {
    if (one.1.len, one.1.chunk_count) != (other.1.len, other.1.chunk_count) {
        return Ok(false);
    }
    let (ours, theirs) = (one.0.chunks_of(one.1)?, other.0.chunks_of(other.1)?);
    let is_single = ours.len() == 1;
    Ok(ours.iter().zip(&theirs).all(|(chunk, found)| {
        (chunk.file, chunk.kind) == (found.file, found.kind) && (is_single || chunk.digest == found.digest)
    }))
}

/// The contents of a layer, ascending by digest.
struct Rows<'t> {
    table: &'t Table,
    batch: std::vec::IntoIter<ContentRow>,
    read: u32,
}

impl<'t> Rows<'t> {
    fn of(table: &'t Table) -> Self {
        Self { table, batch: Vec::new().into_iter(), read: 0 }
    }

    fn next(&mut self) -> Result<Option<ContentRow>, Error> {
        if self.batch.len() == 0 {
            let rows = self.table.contents(self.read, BATCH)?;
            self.read = self.read.saturating_add(BATCH);
            self.batch = rows.into_iter();
        }
        Ok(self.batch.next())
    }
}

#[cfg(test)]
mod tests {
    use chunked::{BlobRange, Chunk, ChunkKind, Content, Entry, EntryKind, FileRange};

    use super::*;
    use crate::contents::Builder;

    /// A table of one file in chunks of some lengths, whose digests follow from `seed`, among files that others do not have.
    fn table(name: &str, seed: &str, lens: &[u64]) -> Table {
        let dir = tempfile::tempdir().unwrap();
        let mut builder = Builder::default();
        (0..2000).for_each(|number| builder.add(&entry(&format!("{seed}{number}"), seed, &[3])));
        builder.add(&entry(name, seed, lens));
        let path = dir.path().join("table");
        builder.save(&path).unwrap();
        Table::open(&path).unwrap()
    }

    fn entry(name: &str, seed: &str, lens: &[u64]) -> Entry {
        let mut at = 0;
        let chunks = lens.iter().map(|len| {
            let file = FileRange::saturating(at, *len);
            at += len;
            let digest = Some(ContentDigest::of(format!("{seed} {at}").as_bytes()));
            Chunk { file, blob: BlobRange::saturating(at, 1), inner_offset: 0, digest, kind: ChunkKind::Data }
        });
        let chunks = chunks.collect();
        let range = BlobRange::saturating(0, at);
        let content = Content { digest: Some(ContentDigest::of(name.as_bytes())), range, chunks };
        Entry { size: at, content: Some(content), ..Entry::new(EntryKind::Regular, name) }
    }

    #[test]
    fn layers_agree_on_what_they_both_have_or_one_content_tells() {
        let found = |one: (&str, &[u64]), other: (&str, &[u64])| {
            disputed(&table("it", one.0, one.1), &table("it", other.0, other.1)).unwrap().is_some()
        };
        assert!(!found(("a", &[5, 6]), ("a", &[5, 6])));
        assert!(found(("a", &[5, 6]), ("b", &[5, 6])), "the same chunks with other digests");
        assert!(found(("a", &[5, 6]), ("a", &[6, 5])));
        assert!(found(("a", &[5, 6]), ("b", &[11])));
        assert!(found(("a", &[5]), ("a", &[6])), "of another length");
        assert!(!found(("a", &[5]), ("b", &[5])), "in one chunk, which the content's own digest is for");
        let other = disputed(&table("it", "a", &[5, 6]), &table("another", "b", &[5, 6]));
        assert_eq!(other.unwrap(), None);
        let it = disputed(&table("it", "a", &[5, 6]), &table("it", "b", &[5, 6]));
        assert_eq!(it.unwrap(), Some(ContentDigest::of(b"it")));
    }
}
