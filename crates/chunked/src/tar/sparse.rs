//! Sparse files: the tar holds only their data, and a map of where it belongs. Read as Go's `archive/tar` reads them.

use super::header::{BLOCK_LEN, number};
use super::pax::decimal;
use crate::range::FileRange;

/// How a sparse file is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sparse {
    /// The headers say where the data belongs.
    Mapped(Map),
    /// The payload starts with what says it, for a file of `len` bytes; see [`Map::take_from_payload`].
    MapFirst {
        /// Bytes of the file, holes included.
        len: u64,
    },
    /// In a way that is not known, or wrongly.
    Unknown,
}

/// Where the data of a sparse file belongs; everything else is zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// Bytes of the file, holes included.
    pub len: u64,
    /// The data, in order, none of it twice. The payload holds it one after the other.
    pub data: Vec<FileRange>,
}

impl Map {
    /// Makes a map for a payload of `payload_len` bytes; `None` when they do not fit together.
    fn new(len: u64, data: Vec<FileRange>, payload_len: u64) -> Option<Self> {
        let ordered = data.windows(2).all(|pair| matches!(pair, [a, b] if a.end() <= b.start()));
        let fits = data.last().is_none_or(|last| last.end() <= len);
        let sum = data.iter().try_fold(0u64, |sum, range| sum.checked_add(range.len()))?;
        (ordered && fits && sum == payload_len).then_some(Self { len, data })
    }

    /// Reads the map at the start of a payload of `payload_len` bytes, of which `bytes` are the first, and returns the
    /// bytes that it takes as well. `None` when `bytes` are too few, or wrong.
    pub fn take_from_payload(bytes: &[u8], len: u64, payload_len: u64) -> Option<(u64, Self)> {
        let mut rest = bytes;
        let mut line = || {
            let end = rest.iter().take(LONGEST_LINE).position(|byte| *byte == b'\n')?;
            let (digits, after) = rest.split_at_checked(end)?;
            rest = after.get(1..)?;
            u64::try_from(decimal(digits)?).ok()
        };
        let pieces = line()?;
        let data = (0..pieces).map(|_| FileRange::with_len(line()?, line()?)).collect::<Option<Vec<_>>>()?;
        let map_len = bytes.len().saturating_sub(rest.len()).next_multiple_of(BLOCK_LEN) as u64;
        let map = Self::new(len, data, payload_len.checked_sub(map_len)?)?;
        Some((map_len, map))
    }
}

/// Longest line of a map: a number of 64 bits has 20 digits.
const LONGEST_LINE: usize = 32;

/// What pax records say of a sparse file.
#[derive(Debug, Default)]
pub(super) struct Records {
    major: Vec<u8>,
    minor: Vec<u8>,
    pub(super) name: Vec<u8>,
    size: Vec<u8>,
    real_size: Vec<u8>,
    pieces: Vec<u8>,
    /// Offsets and lengths in turns, separated by commas.
    map: Vec<u8>,
}

impl Records {
    /// Takes the record with the key `GNU.sparse.{key}`.
    pub(super) fn set(&mut self, key: &[u8], value: &[u8]) {
        let field = match key {
            b"major" => &mut self.major,
            b"minor" => &mut self.minor,
            b"name" => &mut self.name,
            b"size" => &mut self.size,
            b"realsize" => &mut self.real_size,
            b"numblocks" => &mut self.pieces,
            b"map" => &mut self.map,
            b"offset" | b"numbytes" => {
                if !self.map.is_empty() {
                    self.map.push(b',');
                }
                return self.map.extend_from_slice(value);
            }
            _ => return,
        };
        value.clone_into(field);
    }

    /// Interprets the records for a payload of `payload_len` bytes.
    pub(super) fn sparse(&self, payload_len: u64) -> Sparse {
        let size = if self.size.is_empty() { &self.real_size } else { &self.size };
        let len = decimal(size).and_then(|len| u64::try_from(len).ok());
        let sparse = match (self.major.as_slice(), self.minor.as_slice()) {
            (b"1", b"0") => len.map(|len| Sparse::MapFirst { len }),
            (b"", b"") | (b"0", b"0" | b"1") => len.and_then(|len| self.mapped(len, payload_len)),
            _ => None,
        };
        sparse.unwrap_or(Sparse::Unknown)
    }

    fn mapped(&self, len: u64, payload_len: u64) -> Option<Sparse> {
        let texts: Vec<_> = self.map.split(|byte| *byte == b',').filter(|text| !text.is_empty()).collect();
        let (pairs, rest) = texts.as_chunks();
        let pieces = usize::try_from(decimal(&self.pieces)?).ok()?;
        if pieces != pairs.len() || !rest.is_empty() {
            return None;
        }
        let range = |[offset, len]: &[&[u8]; 2]| piece(decimal(offset)?, decimal(len)?);
        let data = pairs.iter().map(range).collect::<Option<Vec<_>>>()?;
        Map::new(len, data, payload_len).map(Sparse::Mapped)
    }
}

/// Bytes of an offset and a length in a header block.
const PIECE_LEN: usize = 24;

/// Counts the blocks that go on with the map of the old GNU header `block`; `None` when `rest` holds too few to tell.
pub(super) fn extension_blocks(block: &[u8; BLOCK_LEN], rest: &[u8]) -> Option<usize> {
    let mut goes_on = block[482] != 0;
    let (blocks, _) = rest.as_chunks::<BLOCK_LEN>();
    let mut count = 0usize;
    while goes_on {
        goes_on = blocks.get(count)?[504] != 0;
        count = count.saturating_add(1);
    }
    Some(count)
}

/// Reads the map of the old GNU header `block` and of the blocks that go on with it.
pub(super) fn gnu(block: &[u8; BLOCK_LEN], extensions: &[u8], payload_len: u64) -> Sparse {
    let (extensions, _) = extensions.as_chunks::<BLOCK_LEN>();
    let tables = std::iter::once(&block[386..482]).chain(extensions.iter().map(|block| &block[..504]));
    let used = |piece: &&[u8]| piece.first().is_some_and(|first| *first != 0);
    let pieces = tables.flat_map(|table| table.chunks_exact(PIECE_LEN).take_while(used));
    let data = pieces.map(|piece| {
        let (offset, len) = piece.split_at(PIECE_LEN / 2);
        self::piece(number(offset, "sparse").ok()?, number(len, "sparse").ok()?)
    });
    let map = || {
        let len = u64::try_from(number(&block[483..495], "realsize").ok()?).ok()?;
        Map::new(len, data.collect::<Option<Vec<_>>>()?, payload_len)
    };
    map().map_or(Sparse::Unknown, Sparse::Mapped)
}

fn piece(offset: i64, len: i64) -> Option<FileRange> {
    FileRange::with_len(u64::try_from(offset).ok()?, u64::try_from(len).ok()?)
}
