//! Where the bytes of blobs come from.

use std::collections::BTreeMap;
use std::io::{self, Read};

use chunked::{Abilities, BlobRange};
use serde::{Deserialize, Serialize};
use store::LayerRecord;

/// Where the blobs of an image are. Whoever runs the fetching knows how to get there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Place {
    /// A reference.
    pub reference: String,
    /// What else it takes, by name.
    pub options: BTreeMap<String, String>,
}

/// Reads blobs from wherever they are. Called from several threads.
pub trait Supply: Sync {
    /// Says what can be asked for at once, as far as it is known by now. Connects to the place if nobody has yet.
    fn abilities(&self, place: &Place, layer: &LayerRecord) -> Abilities;

    /// Reads ranges of a layer's blob, ascending and disjoint, in one request, and hands them to `take`: their bytes one
    /// after another, and no others.
    ///
    /// # Errors
    /// Those of [`RangeSource::read_ranges`](chunked::RangeSource::read_ranges), by their kinds, and what `take` answers.
    fn read(
        &self,
        place: &Place,
        layer: &LayerRecord,
        ranges: &[BlobRange],
        take: &mut dyn FnMut(&mut dyn Read) -> io::Result<()>,
    ) -> io::Result<()>;
}
