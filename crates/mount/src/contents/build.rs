//! Makes the table of a layer from the entries of its TOC.

use std::collections::HashSet;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use chunked::{ContentDigest, Entry, TocDigest};
use store::{LayerRecord, Listings, Store, contents};

use super::row::{ChunkRow, ContentRow};
use super::table::{BITS_MAX, MAGIC, Table};
use crate::error::Error;
use crate::file;

/// Contents for each value of the first bits, on average.
const FAN_LEN: usize = 16;

/// Returns where the tables of a store are.
pub fn directory_of(store: &Store) -> PathBuf {
    store.path().join("tables")
}

/// Opens the table of a layer in `directory`, making it if it is not there.
///
/// # Errors
/// Those of [`store::Layers::visit_toc`], and of the file system.
pub fn build(store: &Store, record: &LayerRecord, directory: &Path) -> Result<Table, Error> {
    let path = directory.join(record.toc_digest.0.hex());
    if let Ok(table) = Table::open(&path) {
        return Ok(table);
    }
    let mut builder = Builder::default();
    store.layers().visit_toc(record, |entry| builder.add(&entry))?;
    builder.save(&path)?;
    Table::open(&path)
}

/// Tells whether the table of a layer is there.
pub fn is_built(toc_digest: &TocDigest, directory: &Path) -> bool {
    Table::open(&directory.join(toc_digest.0.hex())).is_ok()
}

/// Makes the tables of layers whose entries were just read, so that [`build`] finds them.
///
/// # Errors
/// Those of the file system.
pub fn build_listed(listings: &Listings, directory: &Path) -> Result<(), Error> {
    for (toc_digest, entries) in listings {
        let mut builder = Builder::default();
        entries.iter().for_each(|entry| builder.add(entry));
        builder.save(&directory.join(toc_digest.0.hex()))?;
    }
    Ok(())
}

/// Gathers the contents of a layer.
#[derive(Debug, Default)]
pub struct Builder {
    /// In the order of the TOC, each once.
    contents: Vec<ContentRow>,
    chunks: Vec<ChunkRow>,
    known: HashSet<ContentDigest>,
    /// Where the last content was.
    directory: Option<String>,
}

impl Builder {
    /// Adds the next entry of the TOC. Of contents that were added before, nothing is added.
    pub fn add(&mut self, entry: &Entry) {
        let Some((digest, len)) = contents::of(entry) else { return };
        let Some(content) = &entry.content else { return };
        if !self.known.insert(digest) {
            return;
        }
        // A TOC has far fewer than 2^32 rows.
        let narrow = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let (first_chunk, chunk_count) = (narrow(self.chunks.len()), narrow(content.chunks.len()));
        let place = narrow(self.contents.len());
        let directory = parent_of(entry);
        let is_new = self.directory.as_deref() != Some(directory);
        if is_new {
            self.directory = Some(directory.to_owned());
        }
        self.contents.push(ContentRow { digest, len, first_chunk, chunk_count });
        self.chunks.extend(content.chunks.iter().enumerate().map(|(index, chunk)| ChunkRow {
            chunk: *chunk,
            content: place,
            starts_directory: is_new && index == 0,
        }));
    }

    /// Writes the table to a file, which appears when it is complete.
    pub(super) fn save(self, path: &Path) -> Result<(), Error> {
        file::replace(path, |file| self.write(BufWriter::new(file)))
    }

    /// Writes the table.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(self, mut out: impl Write) -> io::Result<()> {
        let Self { contents, mut chunks, .. } = self;
        let first = |content: &ContentRow| super::table::first_bits(&content.digest, u64::BITS);
        let mut order: Vec<_> = contents.iter().map(first).zip(0..).collect();
        // Equal starts are rare.
        let whole = |place: usize| contents.get(place).map(|content| content.digest);
        order.sort_unstable_by(|(first, one), (other, next)| {
            first.cmp(other).then_with(|| whole(*one).cmp(&whole(*next)))
        });
        let order: Vec<usize> = order.into_iter().map(|(_, place)| place).collect();
        let mut rows = vec![0_u32; contents.len()];
        for (row, place) in order.iter().enumerate() {
            if let Some(slot) = rows.get_mut(*place) {
                *slot = u32::try_from(row).unwrap_or(u32::MAX);
            }
        }
        for chunk in &mut chunks {
            chunk.content = rows.get(chunk.content as usize).copied().unwrap_or(u32::MAX);
        }
        let sorted: Vec<_> = order.iter().filter_map(|place| contents.get(*place)).collect();
        let mut bytes = header(&sorted, chunks.len());
        sorted.iter().for_each(|content| content.encode(&mut bytes));
        out.write_all(&bytes)?;
        for run in chunks.chunks(4096) {
            bytes.clear();
            run.iter().for_each(|chunk| chunk.encode(&mut bytes));
            out.write_all(&bytes)?;
        }
        out.flush()
    }
}

fn header(sorted: &[&ContentRow], chunks: usize) -> Vec<u8> {
    let bits = (sorted.len() / FAN_LEN).checked_ilog2().unwrap_or(0).min(BITS_MAX);
    let mut bytes = MAGIC.to_vec();
    for number in [sorted.len(), chunks, bits as usize, 0] {
        bytes.extend(u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
    }
    let len = sorted.iter().fold(0_u64, |sum, content| sum.saturating_add(content.len));
    bytes.extend(len.to_le_bytes());
    for first in 0..=1_u64 << bits {
        let before =
            sorted.partition_point(|content| super::table::first_bits(&content.digest, bits) < first);
        bytes.extend(u32::try_from(before).unwrap_or(u32::MAX).to_le_bytes());
    }
    bytes
}

/// Returns the directory of an entry, as it is written.
fn parent_of(entry: &Entry) -> &str {
    entry.name.rsplit_once('/').map_or("", |(directory, _)| directory)
}
