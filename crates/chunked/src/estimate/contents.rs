//! What the files of some layers hold.

use std::collections::HashSet;
use std::convert::Infallible;

use super::Known;
use crate::digest::ContentDigest;
use crate::entry::{Chunk, ChunkKind, Entry};

/// The contents of some layers and the chunks they consist of, by digest and length: 40 bytes for each.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    contents: HashSet<(ContentDigest, u64)>,
    chunks: HashSet<(ContentDigest, u64)>,
}

impl Contents {
    /// Adds what a file holds, if it can be told from its entry.
    pub fn add(&mut self, entry: &Entry) {
        let Some(content) = &entry.content else { return };
        let Some(digest) = content.digest else { return };
        self.contents.insert((digest, entry.size));
        // A file in one piece is a content by itself.
        if content.chunks.len() > 1 {
            let data = content.chunks.iter().filter(|chunk| chunk.kind == ChunkKind::Data);
            self.chunks.extend(data.filter_map(|chunk| Some((chunk.digest?, chunk.file.len()))));
        }
    }
}

impl Known for Contents {
    type Error = Infallible;

    fn has_content(&self, digest: &ContentDigest, len: u64) -> Result<bool, Infallible> {
        Ok(self.contents.contains(&(*digest, len)))
    }

    fn has_chunks(&self, digest: &ContentDigest, chunks: &[Chunk]) -> Result<Vec<bool>, Infallible> {
        let is_only = chunks.len() == 1;
        let has = |chunk: &Chunk| {
            let digest = chunk.digest.or(is_only.then_some(*digest));
            digest.is_some_and(|digest| self.chunks.contains(&(digest, chunk.file.len())))
        };
        Ok(chunks.iter().map(has).collect())
    }
}
