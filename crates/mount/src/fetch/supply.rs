//! Where the bytes of blobs come from.

use std::io::{self, Read};

use chunked::{Abilities, BlobRange};
use store::LayerRecord;

/// Reads blobs from wherever they are. Called from several threads.
pub trait Supply: Sync {
    /// Says what can be asked for at once, as far as it is known by now.
    fn abilities(&self, layer: &LayerRecord) -> Abilities;

    /// Reads ranges of a layer's blob, ascending and disjoint, in one request, and hands them to `take`: their bytes one
    /// after another, and no others.
    ///
    /// # Errors
    /// Those of [`RangeSource::read_ranges`](chunked::RangeSource::read_ranges), by their kinds, and what `take` answers.
    fn read(
        &self,
        layer: &LayerRecord,
        ranges: &[BlobRange],
        take: &mut dyn FnMut(&mut dyn Read) -> io::Result<()>,
    ) -> io::Result<()>;
}
