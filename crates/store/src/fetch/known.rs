//! What a pull would find in the store.

use chunked::estimate::Known;
use chunked::{Chunk, ContentDigest};

use super::needs::place_of;
use crate::error::Error;
use crate::store::Store;

/// A pull decides by the same answers. It reads chunks before it relies on them, and fetches those that turn out to be
/// damaged.
impl Known for Store {
    type Error = Error;

    fn has_content(&self, digest: &ContentDigest, len: u64) -> Result<bool, Error> {
        Ok(self.objects().len_of(digest)? == Some(len))
    }

    fn has_chunks(&self, digest: &ContentDigest, chunks: &[Chunk]) -> Result<Vec<bool>, Error> {
        let marks = self.partials().marks(digest, chunks)?.unwrap_or_default();
        let marks = marks.into_iter().chain(std::iter::repeat(false));
        let has = |(chunk, mark)| mark || place_of(self, chunk, digest, chunks.len()).is_some();
        Ok(chunks.iter().zip(marks).map(has).collect())
    }
}
