//! A map from digests to places that is built once: rows in one piece of memory, sorted.

use chunked::ContentDigest;

/// The start of a digest. Half will do, as what is found is hashed.
type Key = [u8; 16];

/// What is known of digests. Of several rows for one digest the first that was added counts.
#[derive(Debug)]
pub(crate) struct Table<V> {
    rows: Vec<(Key, V)>,
}

impl<V: Copy> Table<V> {
    /// Sorts rows.
    pub(crate) fn new(rows: impl IntoIterator<Item = (ContentDigest, V)>) -> Self {
        let mut rows: Vec<_> = rows.into_iter().map(|(digest, value)| (key(&digest), value)).collect();
        rows.sort_by_key(|(key, _)| *key);
        rows.dedup_by_key(|(key, _)| *key);
        rows.shrink_to_fit();
        Self { rows }
    }

    /// Finds what is known of a digest.
    pub(crate) fn get(&self, digest: &ContentDigest) -> Option<V> {
        let place = self.rows.binary_search_by_key(&key(digest), |(key, _)| *key).ok()?;
        self.rows.get(place).map(|(_, value)| *value)
    }
}

fn key(digest: &ContentDigest) -> Key {
    digest.0.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_row_of_a_digest_counts() {
        let [a, b, c] = [b"a", b"b", b"c"].map(|bytes| ContentDigest::of(bytes));
        let table = Table::new([(b, 1), (a, 2), (b, 3)]);
        assert_eq!((table.get(&a), table.get(&b), table.get(&c)), (Some(2), Some(1), None));
    }
}
