//! Sparse files of the tar, expanded: their data where the map says, zeros everywhere else.

use super::long::Long;
use super::{FILE_LEN, Flow, Scanner};
use crate::entry::Entry;
use crate::pipeline::reason::PlainReason;
use crate::pipeline::serial::Serial;
use crate::pipeline::slab::Stretch;
use crate::pipeline::steps::Step;
use crate::tar::{Map, Sparse, Unfaithful};

/// Bytes of payload in which a map may be: a hundred thousand pieces.
const LONGEST_MAP: usize = 1 << 20;

impl<'s> Scanner<'s> {
    /// Takes a sparse file, of which the tar holds `payload_len` bytes.
    pub(super) fn sparse_file(&mut self, mut entry: Entry, sparse: Sparse, payload_len: u64) -> Flow<()> {
        let Some(map) = self.map(sparse, payload_len)? else {
            return Err(PlainReason::from(Unfaithful::Sparse(entry.name.into_bytes())).into());
        };
        let data = map.data.iter().map(|range| range.len()).sum::<u64>();
        self.holes_len = self.holes_len.saturating_add(map.len.saturating_sub(data));
        let limit = self.limits.tar_holes_len;
        if self.holes_len > limit {
            return Err(PlainReason::TooManyZeros { name: entry.name, limit }.into());
        }
        entry.size = map.len;
        if entry.size == 0 {
            return self.batches.push(Step::Member(Box::new(entry)), 0);
        }
        let mut file = self.open(entry)?;
        let zeros = Stretch::of(vec![0; FILE_LEN]);
        let mut at = 0;
        for range in &map.data {
            self.zeros(&mut file, &zeros, range.start().saturating_sub(at))?;
            if !self.copy(&mut file, range.len())? {
                return self.close(file, false);
            }
            at = range.end();
        }
        self.zeros(&mut file, &zeros, map.len.saturating_sub(at))?;
        self.close(file, true)
    }

    /// Returns the map of a sparse file; `None` when there is no valid one. The payload then is all data.
    fn map(&mut self, sparse: Sparse, payload_len: u64) -> Flow<Option<Map>> {
        let len = match sparse {
            Sparse::Mapped(map) => return Ok(Some(map)),
            Sparse::Unknown => return Ok(None),
            Sparse::MapFirst { len } => len,
        };
        let most = usize::try_from(payload_len).unwrap_or(usize::MAX).min(LONGEST_MAP);
        let found = self.tar.fill(most)?;
        let mut scratch = Vec::new();
        let bytes = self.tar.buffered.front(found, &mut scratch);
        let bytes = bytes.get(..found).unwrap_or(bytes);
        let Some((map_len, map)) = Map::take_from_payload(bytes, len, payload_len) else { return Ok(None) };
        self.tar.take(usize::try_from(map_len).unwrap_or(usize::MAX))?;
        Ok(Some(map))
    }

    fn zeros(&mut self, file: &mut Long<'s>, zeros: &Stretch, mut len: u64) -> Flow<()> {
        while len > 0 {
            let now = zeros.clone().take(usize::try_from(len).unwrap_or(usize::MAX));
            len = len.saturating_sub(now.len() as u64);
            self.tar.send(Serial::Zeros(now.clone()))?;
            file.add(&now, &mut self.batches)?;
        }
        Ok(())
    }
}
