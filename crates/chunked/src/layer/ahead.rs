use std::io::{self, Read};

use crate::range::BlobRange;
use crate::source::{Abilities, RangeSource, Ranges, Traffic};

/// Two ranges that are this close are read as one.
const GAP_LEN_MAX: u64 = 4 << 10;

/// A source of which two ranges have been read already, in one request where that could be done.
pub(super) struct ReadAhead<'a> {
    source: &'a dyn RangeSource,
    read: Vec<(BlobRange, Vec<u8>)>,
}

impl<'a> ReadAhead<'a> {
    /// Reads both ranges. What cannot be read in one request, or not to its end, is left to be read by itself.
    ///
    /// # Errors
    /// Those of the source.
    pub(super) fn of(source: &'a dyn RangeSource, mut ranges: [BlobRange; 2]) -> io::Result<Self> {
        ranges.sort();
        let [first, second] = ranges;
        let gap = second.start().checked_sub(first.end());
        let read = match (gap, source.abilities().ranges) {
            (Some(..=GAP_LEN_MAX), _) => read_near(source, first, second),
            (Some(_), Ranges::Many { .. }) => read_both(source, first, second),
            _ => Ok(Vec::new()),
        };
        let read = read.or_else(|error| match error.kind() {
            io::ErrorKind::Unsupported | io::ErrorKind::UnexpectedEof => Ok(Vec::new()),
            _ => Err(error),
        })?;
        Ok(Self { source, read })
    }
}

fn read_near(
    source: &dyn RangeSource,
    first: BlobRange,
    second: BlobRange,
) -> io::Result<Vec<(BlobRange, Vec<u8>)>> {
    let both = BlobRange::saturating(first.start(), second.end().saturating_sub(first.start()));
    Ok(vec![(both, read_exactly(&mut source.read_range(both)?, both)?)])
}

fn read_both(
    source: &dyn RangeSource,
    first: BlobRange,
    second: BlobRange,
) -> io::Result<Vec<(BlobRange, Vec<u8>)>> {
    let mut body = source.read_ranges(&[first, second])?;
    Ok(vec![(first, read_exactly(&mut body, first)?), (second, read_exactly(&mut body, second)?)])
}

fn read_exactly(body: &mut dyn Read, range: BlobRange) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    body.take(range.len()).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == range.len() { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Returns the bytes of `range` out of those of `read`, if they are all there.
fn cut(read: BlobRange, bytes: &[u8], range: BlobRange) -> Option<&[u8]> {
    let start = usize::try_from(range.start().checked_sub(read.start())?).ok()?;
    let end = usize::try_from(range.end().checked_sub(read.start())?).ok()?;
    bytes.get(start..end)
}

impl RangeSource for ReadAhead<'_> {
    fn blob_len(&self) -> u64 {
        self.source.blob_len()
    }

    fn read_range(&self, range: BlobRange) -> io::Result<Box<dyn Read + Send + '_>> {
        match self.read.iter().find_map(|(read, bytes)| cut(*read, bytes, range)) {
            Some(bytes) => Ok(Box::new(bytes)),
            None => self.source.read_range(range),
        }
    }

    fn abilities(&self) -> Abilities {
        self.source.abilities()
    }

    fn traffic(&self) -> Traffic {
        self.source.traffic()
    }
}
