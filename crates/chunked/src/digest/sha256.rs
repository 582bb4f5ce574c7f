//! SHA-256 of one message piece by piece, of the same bytes for two messages, and of many messages side by side.

use std::fmt;

use sha2::block_api::compress256;

use super::sys::{Block, State, Wide};
use super::{ContentDigest, Digest};

const BLOCK_LEN: usize = size_of::<Block>();

/// The state before the first block (FIPS 180-4, 5.3.3).
#[rustfmt::skip]
const START: State = [
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];

/// Messages hashed side by side; more are no faster (measured).
const LANES: usize = 4;

/// Computes a SHA-256 piece by piece.
#[derive(Clone)]
pub struct Hasher {
    state: State,
    /// The start of the next block: the last bytes of those `len` that do not fill one.
    block: Block,
    len: u64,
}

impl Hasher {
    /// Starts with no bytes hashed.
    pub fn new() -> Self {
        Self { state: START, block: [0; BLOCK_LEN], len: 0 }
    }

    /// Hashes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let blocks = self.align(bytes);
        compress256(&mut self.state, blocks);
    }

    /// Returns the digest of everything hashed.
    pub fn finish(self) -> Digest {
        Digest::Sha256(self.finish_bytes())
    }

    /// Returns the digest of everything hashed as that of some content.
    pub fn finish_content(self) -> ContentDigest {
        ContentDigest(self.finish_bytes())
    }

    pub(super) fn finish_bytes(mut self) -> [u8; 32] {
        let tail = Tail::new(self.block.get(..self.filled()).unwrap_or_default(), self.len);
        compress256(&mut self.state, tail.blocks());
        bytes(&self.state)
    }

    fn filled(&self) -> usize {
        (self.len % BLOCK_LEN as u64) as usize
    }

    /// Fills up the open block and keeps what starts a new one; returns the whole blocks between, yet to be hashed.
    fn align<'b>(&mut self, bytes: &'b [u8]) -> &'b [Block] {
        let filled = self.filled();
        self.len = self.len.wrapping_add(bytes.len() as u64);
        let mut rest = bytes;
        if filled > 0 {
            let room = self.block.get_mut(filled..).unwrap_or_default();
            let (first, after) = rest.split_at(rest.len().min(room.len()));
            room.iter_mut().zip(first).for_each(|(to, from)| *to = *from);
            if first.len() < room.len() {
                return &[];
            }
            compress256(&mut self.state, &[self.block]);
            rest = after;
        }
        let (blocks, start) = rest.as_chunks();
        self.block.iter_mut().zip(start).for_each(|(to, from)| *to = *from);
        blocks
    }
}

/// Hashes the next bytes of two messages that have them in common, at less than the cost of one after the other.
///
/// The two may have started at different bytes.
pub fn update_both(one: &mut Hasher, other: &mut Hasher, bytes: &[u8]) {
    both(Wide::detect(), one, other, bytes);
}

fn both(wide: Option<Wide>, one: &mut Hasher, other: &mut Hasher, bytes: &[u8]) {
    let (mine, theirs) = (one.align(bytes), other.align(bytes));
    let both = mine.len().min(theirs.len());
    let ((mine, my_rest), (theirs, their_rest)) = (mine.split_at(both), theirs.split_at(both));
    match wide {
        Some(wide) => wide.compress([&mut one.state, &mut other.state], [mine, theirs]),
        None => {
            compress256(&mut one.state, mine);
            compress256(&mut other.state, theirs);
        }
    }
    compress256(&mut one.state, my_rest);
    compress256(&mut other.state, their_rest);
}

/// Hashes many contents side by side, at little more than half the cost of one after the other; returns their digests in
/// the same order.
pub fn digests_of(contents: &[&[u8]]) -> Vec<ContentDigest> {
    many(Wide::detect(), contents)
}

fn many(wide: Option<Wide>, contents: &[&[u8]]) -> Vec<ContentDigest> {
    let mut digests = vec![ContentDigest([0; 32]); contents.len()];
    let mut longest_last: Vec<_> = contents.iter().zip(&mut digests).collect();
    longest_last.sort_by_key(|(content, _)| content.len());
    let mut waiting = longest_last.into_iter().map(|(content, digest)| Lane::new(content, digest)).rev();
    let mut lanes = Vec::with_capacity(LANES);
    loop {
        let free = LANES.saturating_sub(lanes.len());
        lanes.extend(waiting.by_ref().take(free));
        let Some(count) = lanes.iter().map(|lane| lane.blocks().len()).min() else { return digests };
        match (wide, lanes.as_mut_slice()) {
            (Some(wide), [a, b, c, d]) => compress(wide, [a, b, c, d], count),
            (Some(wide), [a, b, c]) => compress(wide, [a, b, c], count),
            (Some(wide), [a, b]) => compress(wide, [a, b], count),
            (_, lanes) => lanes.iter_mut().map(|lane| lane.take(count)).for_each(|(s, b)| compress256(s, b)),
        }
        lanes.retain_mut(|lane| !lane.finish());
    }
}

/// Takes in the next `count` blocks of every lane.
fn compress<const N: usize>(wide: Wide, lanes: [&mut Lane<'_, '_>; N], count: usize) {
    let taken = lanes.map(|lane| lane.take(count));
    let blocks = taken.each_ref().map(|(_, blocks)| *blocks);
    wide.compress(taken.map(|(state, _)| state), blocks);
}

/// A content on its way to its digest.
struct Lane<'c, 'd> {
    state: State,
    /// The whole blocks that are left.
    body: &'c [Block],
    tail: Tail,
    digest: &'d mut ContentDigest,
}

impl<'c, 'd> Lane<'c, 'd> {
    fn new(content: &'c [u8], digest: &'d mut ContentDigest) -> Self {
        let (body, rest) = content.as_chunks();
        Self { state: START, body, tail: Tail::new(rest, content.len() as u64), digest }
    }

    /// Returns the blocks that come next, at least one unless it is done.
    fn blocks(&self) -> &[Block] {
        if self.body.is_empty() { self.tail.blocks() } else { self.body }
    }

    /// Takes up to `count` blocks of them away, together with the state to put them in.
    fn take(&mut self, count: usize) -> (&mut State, &[Block]) {
        if self.body.is_empty() {
            return (&mut self.state, self.tail.take(count));
        }
        let (now, later) = self.body.split_at_checked(count).unwrap_or((self.body, &[]));
        self.body = later;
        (&mut self.state, now)
    }

    /// Writes the digest down if it is done, and tells whether it is.
    fn finish(&mut self) -> bool {
        let done = self.blocks().is_empty();
        if done {
            *self.digest = ContentDigest(bytes(&self.state));
        }
        done
    }
}

/// The last bytes of a message, with the padding that ends it: one block, or two (FIPS 180-4, 5.1.1).
struct Tail {
    blocks: [Block; 2],
    next: usize,
    end: usize,
}

impl Tail {
    /// Pads `rest`, less than a block, the end of a message of `len` bytes.
    fn new(rest: &[u8], len: u64) -> Self {
        let mut blocks = [[0; BLOCK_LEN]; 2];
        let bytes = blocks.as_flattened_mut();
        let message = rest.iter().chain(std::iter::once(&0x80));
        bytes.iter_mut().zip(message).for_each(|(to, from)| *to = *from);
        let end = if rest.len() < BLOCK_LEN - 8 { 1 } else { 2 };
        let len_at = end * BLOCK_LEN - 8;
        let bits = len.wrapping_mul(8).to_be_bytes();
        bytes.iter_mut().skip(len_at).zip(bits).for_each(|(to, from)| *to = from);
        Self { blocks, next: 0, end }
    }

    fn blocks(&self) -> &[Block] {
        self.blocks.get(self.next..self.end).unwrap_or_default()
    }

    fn take(&mut self, count: usize) -> &[Block] {
        let start = self.next;
        self.next = start.saturating_add(count).min(self.end);
        self.blocks.get(start..self.next).unwrap_or_default()
    }
}

fn bytes(state: &State) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(state.iter().flat_map(|word| word.to_be_bytes())).for_each(|(to, from)| *to = from);
    bytes
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").field("len", &self.len).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use sha2::{Digest as _, Sha256};

    use super::*;

    fn expected(bytes: &[u8]) -> ContentDigest {
        ContentDigest(Sha256::digest(bytes).into())
    }

    /// Bytes of lengths around those where a block ends, and longer ones.
    fn message() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![vec(any::<u8>(), 0..200), vec(any::<u8>(), 900..2000)]
    }

    proptest! {
        #[test]
        fn pieces_hash_to_what_the_whole_hashes_to(pieces in vec(message(), 0..6)) {
            let mut hasher = Hasher::new();
            pieces.iter().for_each(|piece| hasher.update(piece));
            prop_assert_eq!(hasher.finish_content(), expected(&pieces.concat()));
        }

        #[test]
        fn two_messages_share_bytes_wherever_they_started(
            starts in (message(), message()),
            shared in vec(message(), 0..4),
            end in message(),
        ) {
            let (mut one, mut other) = (Hasher::new(), Hasher::new());
            one.update(&starts.0);
            other.update(&starts.1);
            shared.iter().for_each(|bytes| both(Wide::supported(), &mut one, &mut other, bytes));
            other.update(&end);
            let shared = shared.concat();
            prop_assert_eq!(one.finish_content(), expected(&[starts.0, shared.clone()].concat()));
            prop_assert_eq!(other.finish_content(), expected(&[starts.1, shared, end].concat()));
        }

        #[test]
        fn many_contents_hash_as_each_alone(contents in vec(message(), 0..20)) {
            let slices: Vec<_> = contents.iter().map(Vec::as_slice).collect();
            let alone: Vec<_> = slices.iter().map(|content| expected(content)).collect();
            prop_assert_eq!(many(Wide::supported(), &slices), alone);
        }
    }

    #[test]
    fn every_length_is_padded_right() {
        let bytes: Vec<u8> = (0..300u16).map(|n| n as u8).collect();
        let contents: Vec<_> = (0..300).filter_map(|len| bytes.get(..len)).collect();
        let alone: Vec<_> = contents.iter().map(|content| expected(content)).collect();
        assert_eq!(many(Wide::supported(), &contents), alone);
    }
}
