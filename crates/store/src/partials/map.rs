//! Which chunks of a partial file are here: the file beside it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use chunked::digest::Hasher;
use chunked::{Chunk, ChunkKind, ContentDigest};

use crate::durability::BootId;

/// Start of every map. In those of version 1, not all chunks that are said to be here were verified.
const MAGIC: &[u8; 8] = b"morselp\x02";
/// Bytes of a boot ID, filled up with zeros.
const BOOT_LEN: usize = 40;
/// Bytes before the marks: magic, digest of the layout, boot ID.
pub(super) const HEADER_LEN: usize = MAGIC.len() + 32 + BOOT_LEN;

/// What a chunk's byte is once its content is written and, if it has a digest, verified.
const HERE: u8 = 1;

/// The marks of the chunks, one byte each, as they are in a file.
#[derive(Debug)]
pub(super) struct Map {
    file: File,
}

/// What a map says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Marks {
    /// One for each chunk.
    pub(super) here: Vec<bool>,
    /// Whether they were all made since this machine started.
    pub(super) is_of_this_boot: bool,
}

impl Map {
    pub(super) fn new(file: File) -> Self {
        Self { file }
    }

    /// Reads the marks; `None` when they are not of this layout, or damaged.
    pub(super) fn read(&self, layout: &Layout, boot: &BootId) -> io::Result<Option<Marks>> {
        if self.file.metadata()?.len() != layout.map_len() {
            return Ok(None);
        }
        let mut header = [0; HEADER_LEN];
        self.file.read_exact_at(&mut header, 0)?;
        let same_layout = header.strip_prefix(layout.magic().as_slice());
        let Some(written_in) = same_layout else { return Ok(None) };
        let mut marks = vec![0; layout.chunks];
        self.file.read_exact_at(&mut marks, HEADER_LEN as u64)?;
        let is_of_this_boot =
            std::str::from_utf8(written_in).is_ok_and(|text| boot.is(text.trim_end_matches('\0')));
        Ok(Some(Marks { here: marks.iter().map(|mark| *mark == HERE).collect(), is_of_this_boot }))
    }

    /// Writes marks in place of all that was there.
    pub(super) fn write(&self, layout: &Layout, boot: &BootId, here: &[bool]) -> io::Result<()> {
        // Until the header is there, the map is none.
        self.file.set_len(0)?;
        self.file.set_len(layout.map_len())?;
        let marks: Vec<_> = here.iter().map(|here| u8::from(*here)).collect();
        self.file.write_all_at(&marks, HEADER_LEN as u64)?;
        let mut header = layout.magic();
        header.extend(boot.as_str().bytes().take(BOOT_LEN));
        header.resize(HEADER_LEN, 0);
        self.file.write_all_at(&header, 0)
    }

    pub(super) fn mark(&self, chunks: Range<usize>, here: bool) -> io::Result<()> {
        let at = (HEADER_LEN as u64).saturating_add(chunks.start as u64);
        self.file.write_all_at(&vec![u8::from(here); chunks.len()], at)
    }
}

/// How a file is cut into chunks. What was written of another cut is of no use.
#[derive(Debug)]
pub(super) struct Layout {
    digest: ContentDigest,
    chunks: usize,
}

impl Layout {
    pub(super) fn of(chunks: &[Chunk]) -> Self {
        let mut hasher = Hasher::new();
        for chunk in chunks {
            hasher.update(&chunk.file.start().to_le_bytes());
            hasher.update(&chunk.file.end().to_le_bytes());
            hasher.update(&chunk.digest.map_or([0; 32], |digest| digest.0));
            // A hole is here from the start, whatever digest it is said to have.
            hasher.update(&[u8::from(chunk.kind == ChunkKind::Zeros)]);
        }
        Self { digest: hasher.finish_content(), chunks: chunks.len() }
    }

    fn map_len(&self) -> u64 {
        (HEADER_LEN as u64).saturating_add(self.chunks as u64)
    }

    fn magic(&self) -> Vec<u8> {
        [MAGIC.as_slice(), self.digest.0.as_slice()].concat()
    }
}
