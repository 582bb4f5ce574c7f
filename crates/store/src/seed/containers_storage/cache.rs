//! The index that containers-storage makes of a layer's TOC: `chunked-manifest-cache`, version 3.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | version: 3 |
//! | 8 | length of a tag |
//! | 8 | length of a digest: 39 for SHA-256 |
//! | 8 + 4 + 8 each | a Bloom filter: number of words, number of hashes, the words |
//! | 8 + 8 + 8 | lengths of the three parts that follow |
//! | | tags: a digest (`sha256:` and 32 bytes), and the offset and length of its places, 8 bytes each |
//! | | places, each three varints: of the name the offset, of the content its first byte and its length |
//! | | names: a length in 4 bytes, and the name |
//!
//! Numbers are little-endian. Tags of another kind, by which files with equal metadata are found, look the same and lead
//! to the same places; no content has their digest.

use chunked::{ContentDigest, FileRange};

const VERSION: u64 = 3;
/// `sha256:` and the bytes.
const PREFIX: &[u8] = b"sha256:";
const DIGEST_LEN: usize = PREFIX.len() + 32;
const TAG_LEN: usize = DIGEST_LEN + 8 + 8;

/// Where a layer has some content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The digest of a chunk or of a whole file.
    pub digest: ContentDigest,
    /// The name of a file, as the TOC has it.
    pub name: &'a str,
    /// Which of its bytes.
    pub range: FileRange,
}

/// An index, read from memory.
#[derive(Debug, Clone, Copy)]
pub struct ManifestCache<'a> {
    tags: &'a [u8],
    places: &'a [u8],
    names: &'a [u8],
}

impl<'a> ManifestCache<'a> {
    /// Takes the bytes of an index; `None` when they are not one, or one of another version or of other digests.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        let [version, tag_len, digest_len, words] = [(); 4].map(|()| take_u64(&mut rest));
        if (version?, tag_len?, digest_len?) != (VERSION, TAG_LEN as u64, DIGEST_LEN as u64) {
            return None;
        }
        let _hashes = rest.split_off(..4)?;
        let _filter = take(&mut rest, words?.checked_mul(8)?)?;
        let lens = [(); 3].map(|()| take_u64(&mut rest));
        let [tags, places, names] = lens.map(|len| take(&mut rest, len?));
        let cache = Self { tags: tags?, places: places?, names: names? };
        cache.tags.len().is_multiple_of(TAG_LEN).then_some(cache)
    }

    /// Lists what the index leads to, as far as it can be read.
    pub fn places(self) -> impl Iterator<Item = Place<'a>> {
        self.tags.chunks_exact(TAG_LEN).filter_map(move |tag| self.place(tag))
    }

    /// Returns the first place of a tag: one is enough.
    fn place(self, mut tag: &'a [u8]) -> Option<Place<'a>> {
        let digest = tag.split_off(..DIGEST_LEN)?.strip_prefix(PREFIX)?;
        let digest = ContentDigest(digest.try_into().ok()?);
        let (at, len) = (take_u64(&mut tag)?, take_u64(&mut tag)?);
        let mut place = slice(self.places, at, len)?;
        let (name, start, len) =
            (take_varint(&mut place)?, take_varint(&mut place)?, take_varint(&mut place)?);
        Some(Place { digest, name: self.name(name)?, range: FileRange::with_len(start, len)? })
    }

    fn name(self, at: u64) -> Option<&'a str> {
        let mut names = self.names.get(usize::try_from(at).ok()?..)?;
        let len = u32::from_le_bytes(*names.split_off(..4)?.first_chunk()?);
        str::from_utf8(take(&mut names, u64::from(len))?).ok()
    }
}

fn slice(bytes: &[u8], at: u64, len: u64) -> Option<&[u8]> {
    let mut rest = bytes.get(usize::try_from(at).ok()?..)?;
    take(&mut rest, len)
}

fn take<'a>(rest: &mut &'a [u8], len: u64) -> Option<&'a [u8]> {
    rest.split_off(..usize::try_from(len).ok()?)
}

fn take_u64(rest: &mut &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*rest.split_off(..8)?.first_chunk()?))
}

/// Takes a number of Go's `binary.AppendUvarint`: 7 bits a byte, the lowest first, the eighth bit says that more follow.
fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = *rest.split_off_first()?;
        let bits = u64::from(byte & 0x7f);
        value |= bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Written by podman 5.8 for the image in `testdata/image`.
    const REAL: &[u8] = include_bytes!("../../../../../testdata/podman-5.8-layer/chunked-manifest-cache");

    #[test]
    fn a_real_index_leads_to_names_and_bytes() {
        let cache = ManifestCache::parse(REAL).unwrap();
        let by_name = |wanted| cache.places().filter(move |place| place.name == wanted).collect::<Vec<_>>();

        assert_eq!(cache.places().count(), 159);
        let magic = by_name("./usr/lib/file/magic.mgc");
        let whole = magic.iter().map(|place| place.range.len()).max().unwrap();
        let mut sizes: HashMap<u64, usize> = HashMap::new();
        for place in &magic {
            *sizes.entry(place.range.len()).or_default() += 1;
        }
        assert_eq!(sizes[&whole], 2, "the file by its digest and by its metadata");
        let chunks: u64 = magic.iter().map(|place| place.range.len()).filter(|len| *len < whole).sum();
        assert!(chunks <= whole && magic.len() > 3, "{magic:?}");
    }

    #[test]
    fn what_is_cut_or_of_another_version_is_no_index() {
        assert!((0..REAL.len()).all(|len| ManifestCache::parse(&REAL[..len]).is_none()));
        for field in [0, 8, 16] {
            let mut other = REAL.to_vec();
            other[field] += 1;
            assert!(ManifestCache::parse(&other).is_none());
        }
    }

    #[test]
    fn a_damaged_index_leads_to_fewer_places_or_others() {
        for at in (0..REAL.len()).step_by(3) {
            let mut damaged = REAL.to_vec();
            damaged[at] ^= 0xff;
            let Some(cache) = ManifestCache::parse(&damaged) else { continue };
            assert!(cache.places().count() <= 159);
        }
    }

    #[test]
    fn numbers_of_more_than_64_bits_are_none() {
        let varint = |mut bytes: &[u8]| take_varint(&mut bytes);
        assert_eq!(varint(&[0x96, 0x01]), Some(150));
        assert_eq!(varint(&[[0xff; 9].as_slice(), &[0x01]].concat()), Some(u64::MAX));
        assert_eq!(varint(&[[0xff; 9].as_slice(), &[0x02]].concat()), None);
        assert_eq!(varint(&[0x80; 11]), None);
        assert_eq!(varint(&[0x80]), None);
    }
}
