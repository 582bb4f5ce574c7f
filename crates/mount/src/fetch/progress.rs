//! How much of a layer is here.

use serde::{Deserialize, Serialize};

use super::{Failure, Fetcher, Layer};
use crate::contents::ContentRow;

/// Rows that are read at once.
const ROWS: u32 = 1024;

/// How much is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Contents, each counted once.
    pub contents: u64,
    /// Those that are here.
    pub contents_here: u64,
    /// Bytes of all.
    pub len: u64,
    /// Bytes that are here, those of files in progress included.
    pub len_here: u64,
}

impl Progress {
    /// Adds what is here of something else.
    pub fn add(&mut self, other: &Self) {
        self.contents = self.contents.saturating_add(other.contents);
        self.contents_here = self.contents_here.saturating_add(other.contents_here);
        self.len = self.len.saturating_add(other.len);
        self.len_here = self.len_here.saturating_add(other.len_here);
    }
}

impl Fetcher<'_> {
    /// Looks how much of a layer is here.
    ///
    /// # Errors
    /// Those of the store.
    pub fn progress(&self, layer: &Layer) -> Result<Progress, Failure> {
        let table = &layer.table;
        let mut progress = Progress {
            contents: table.content_count().into(),
            len: table.content_len(),
            ..Progress::default()
        };
        let mut next = 0;
        while next < table.content_count() {
            for content in table.contents(next, ROWS)? {
                if self.store.objects().len_of(&content.digest)?.is_some() {
                    progress.contents_here = progress.contents_here.saturating_add(1);
                    progress.len_here = progress.len_here.saturating_add(content.len);
                } else if content.chunk_count > 1 {
                    progress.len_here = progress.len_here.saturating_add(self.part_here(layer, &content)?);
                }
            }
            next = next.saturating_add(ROWS);
        }
        Ok(progress)
    }

    fn part_here(&self, layer: &Layer, content: &ContentRow) -> Result<u64, Failure> {
        let chunks = layer.table.chunks_of(content)?;
        let marks = self.store.partials().marks(&content.digest, &chunks)?.unwrap_or_default();
        let here = chunks.iter().zip(marks).filter(|(_, mark)| *mark);
        Ok(here.fold(0, |sum, (chunk, _)| chunk.file.len().saturating_add(sum)))
    }
}
