//! The digests of a file and of the chunks in it.

use std::fs::File;
use std::os::unix::fs::FileExt;

use chunked::chunker::{Chunker, Cut};
use chunked::digest::Hasher;
use chunked::{ChunkKind, ContentDigest, FileRange};

/// Bytes that are read at once.
const PIECE_LEN: usize = 1 << 20;
/// Most chunks of a file before they have to be of some length on average. Files can be made of which every byte is one.
const CHUNKS_MAX: usize = 1024;
/// That length in bytes.
const CHUNK_LEN_MIN: u64 = 256;

/// What a file holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hashed {
    /// Its digest.
    pub(super) digest: ContentDigest,
    /// Its chunks, unless it is one by itself. Holes are left out.
    pub(super) chunks: Vec<(ContentDigest, FileRange)>,
}

/// Hashes the `len` bytes of a file; `None` when it cannot be read, or has fewer.
pub(super) fn hash(file: &File, len: u64) -> Option<Hashed> {
    let mut chunks = Chunks::default();
    let mut whole = Hasher::new();
    let mut piece = vec![0; usize::try_from(len).unwrap_or(PIECE_LEN).min(PIECE_LEN)];
    let mut at = 0_u64;
    while at < len {
        let count = usize::try_from(len - at).unwrap_or(PIECE_LEN).min(PIECE_LEN);
        let room = piece.get_mut(..count)?;
        file.read_exact_at(room, at).ok()?;
        whole.update(room);
        chunks.add(room);
        at = at.saturating_add(count as u64);
    }
    Some(Hashed { digest: whole.finish_content(), chunks: chunks.finish(len) })
}

/// Cuts a file and hashes its chunks, while its bytes come.
#[derive(Default)]
struct Chunks {
    chunker: Chunker,
    cuts: Vec<Cut>,
    /// Bytes of the current chunk that were not hashed yet; a cut may lie among them.
    held: Vec<u8>,
    hasher: Hasher,
    /// Where the current chunk starts.
    start: u64,
    /// Where `held` starts.
    at: u64,
    found: Vec<(ContentDigest, FileRange)>,
}

impl Chunks {
    fn add(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        self.chunker.scan(bytes, &mut self.cuts);
        self.take_cuts();
        let settled = self.held.len().saturating_sub(self.chunker.undecided());
        self.hash(settled);
    }

    fn finish(mut self, len: u64) -> Vec<(ContentDigest, FileRange)> {
        std::mem::take(&mut self.chunker).finish(&mut self.cuts);
        self.take_cuts();
        let is_one = matches!(self.found.as_slice(), [(_, only)] if only.len() == len);
        if is_one { Vec::new() } else { self.found }
    }

    fn take_cuts(&mut self) {
        for Cut { end, kind } in std::mem::take(&mut self.cuts) {
            self.hash(usize::try_from(end.saturating_sub(self.at)).unwrap_or(usize::MAX));
            let digest = std::mem::take(&mut self.hasher).finish_content();
            if let Some(range) =
                FileRange::new(self.start, end).filter(|_| kind == ChunkKind::Data && self.is_sane(end))
            {
                self.found.push((digest, range));
            }
            self.start = end;
        }
    }

    fn is_sane(&self, end: u64) -> bool {
        self.found.len() < CHUNKS_MAX || end / (self.found.len() as u64) >= CHUNK_LEN_MIN
    }

    /// Hashes the first bytes that are held.
    fn hash(&mut self, len: usize) {
        let len = len.min(self.held.len());
        self.hasher.update(self.held.get(..len).unwrap_or_default());
        self.held.drain(..len);
        self.at = self.at.saturating_add(len as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use chunked::chunker;
    use testkit::data;

    use super::*;

    #[test]
    fn chunks_are_those_of_the_converter_however_long_the_file_is() {
        let contents = [
            b"short".to_vec(),
            data::text(1, 300_000),
            [data::stream(2, PIECE_LEN - 500), vec![0; 3000], data::stream(3, 2 * PIECE_LEN)].concat(),
            [data::stream(4, PIECE_LEN - 500), vec![0; 1000], data::stream(5, 10)].concat(),
            vec![0; 3 * PIECE_LEN],
            [vec![1], vec![0; 3 * PIECE_LEN], vec![1]].concat(),
        ];
        for content in contents {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&content).unwrap();
            let mut cuts = Vec::new();
            chunker::cut(&content, &mut cuts);
            let mut start = 0;
            let mut chunks = Vec::new();
            for cut in &cuts {
                let range = FileRange::new(start, cut.end).unwrap();
                let bytes = &content[range.start() as usize..range.end() as usize];
                if cut.kind == ChunkKind::Data {
                    chunks.push((ContentDigest::of(bytes), range));
                }
                start = cut.end;
            }
            if cuts.len() == 1 {
                chunks.clear();
            }
            let digest = ContentDigest::of(&content);
            assert_eq!(hash(&file, content.len() as u64), Some(Hashed { digest, chunks }));
            assert_eq!(hash(&file, content.len() as u64 + 1), None);
        }
    }
}
