use super::row::Row;
use super::{Invalid, Problem};
use crate::entry::{Chunk, Content, Entry, EntryKind};
use crate::limits::Limits;
use crate::range::{BlobRange, FileRange};

/// Folds the rows of a TOC into entries and works out which bytes of the blob every chunk is in.
///
/// A row says where its data starts. The data ends where that of the next row starts or, where the dialect has it, at the
/// `endOffset` of the file. An entry whose end is open waits here, with all entries after it, for a row that starts
/// further on.
#[derive(Debug)]
pub(super) struct Folder<F> {
    visitor: F,
    limits: Limits,
    placement: Placement,
    rows: u64,
    /// Extended attributes so far.
    attributes: u64,
    /// The entry that a chunk row may still add to.
    open: Option<Open>,
    /// Complete entries that have to wait for the end of their data, or of that of one before them.
    waiting: Vec<Entry>,
    data: Data,
    lacks_end_offset: bool,
}

/// Where the data of the rows is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Placement {
    /// In a blob whose part for data has so many bytes.
    Blob { payload_len: u64 },
    /// In no blob: no row has an offset.
    None,
}

#[derive(Debug)]
struct Open {
    row: u64,
    entry: Entry,
    end_offset: u64,
}

/// How far the data of the rows so far reaches.
#[derive(Debug, Default)]
struct Data {
    /// Where the last data starts.
    start: u64,
    /// How many of the bytes decompressed from there are taken.
    inner_end: u64,
    /// Where the last data ends, once a row has said so.
    end: Option<u64>,
}

impl<F: FnMut(Entry)> Folder<F> {
    pub(super) fn new(placement: Placement, limits: &Limits, visitor: F) -> Self {
        Self {
            visitor,
            limits: *limits,
            placement,
            rows: 0,
            attributes: 0,
            open: None,
            waiting: Vec::new(),
            data: Data::default(),
            lacks_end_offset: false,
        }
    }

    /// Returns the bounds on rows.
    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// Takes the next row.
    pub(super) fn row(&mut self, row: Row) -> Result<(), Invalid> {
        let index = self.rows;
        if index >= self.limits.entries {
            return Err(Invalid::TooManyRows { limit: self.limits.entries });
        }
        self.rows = index.saturating_add(1);
        self.count_attributes(&row).map_err(|problem| invalid(index, &row.entry, problem))?;
        if row.is_chunk {
            return self.add_chunk(&row).map_err(|problem| invalid(index, &row.entry, problem));
        }
        self.close()?;
        let chunk = self.first_chunk(&row).map_err(|problem| invalid(index, &row.entry, problem))?;
        let Row { mut entry, digest, end_offset, .. } = row;
        entry.content = chunk.map(|chunk| Content { digest, range: chunk.blob, chunks: vec![chunk] });
        self.open = Some(Open { row: index, entry, end_offset });
        Ok(())
    }

    /// Ends the TOC. Tells whether all data had an end of its own, which eStargz does not write.
    pub(super) fn finish(mut self) -> Result<bool, Invalid> {
        self.close()?;
        if let Placement::Blob { payload_len } = self.placement {
            self.end_data(payload_len);
        }
        Ok(!self.lacks_end_offset)
    }

    fn count_attributes(&mut self, row: &Row) -> Result<(), Problem> {
        row.attributes.check(&self.limits)?;
        self.attributes = self.attributes.saturating_add(row.attributes.count);
        let (found, limit) = (self.attributes, self.limits.toc_attributes);
        let place = "the TOC up to this row";
        if found <= limit { Ok(()) } else { Err(Problem::TooManyAttributes { place, found, limit }) }
    }

    fn first_chunk(&mut self, row: &Row) -> Result<Option<Chunk>, Problem> {
        check_strings(&row.entry, self.limits.string_len)?;
        if row.entry.kind != EntryKind::Regular || row.entry.size == 0 {
            return Ok(None);
        }
        self.chunk(row, 0, row.entry.size, row.end_offset).map(Some)
    }

    fn add_chunk(&mut self, row: &Row) -> Result<(), Problem> {
        let open = self.open.as_ref().filter(|open| open.entry.name == row.entry.name);
        let (size, content, end_offset) = open
            .and_then(|open| Some((open.entry.size, open.entry.content.as_ref()?, open.end_offset)))
            .ok_or(Problem::ChunkWithoutFile)?;
        let chunk = self.chunk(row, covered(content), size, end_offset)?;
        if let Some(content) = self.open.as_mut().and_then(|open| open.entry.content.as_mut()) {
            content.chunks.push(chunk);
        }
        Ok(())
    }

    /// Makes the chunk that `row` describes, with a blob range that ends where it starts until its end is known.
    fn chunk(&mut self, row: &Row, start: u64, size: u64, end_offset: u64) -> Result<Chunk, Problem> {
        if row.chunk_offset != start {
            return Err(Problem::NotContiguous { expected: start, found: row.chunk_offset });
        }
        let rest = size.saturating_sub(start);
        let len = if row.chunk_size == 0 { rest } else { row.chunk_size };
        if len == 0 || len > rest {
            return Err(Problem::ChunkLen { start, len, size });
        }
        match self.placement {
            Placement::Blob { payload_len } => {
                let limit = if end_offset == 0 { payload_len } else { end_offset.min(payload_len) };
                if row.offset >= limit {
                    return Err(Problem::Outside { found: row.offset.saturating_add(1), limit });
                }
                self.start_data(row, len)?;
            }
            Placement::None => unplaced(row)?,
        }
        Ok(Chunk {
            file: FileRange::saturating(start, len),
            blob: BlobRange::saturating(row.offset, 0),
            inner_offset: row.inner_offset,
            digest: row.chunk_digest,
            kind: row.chunk_kind,
        })
    }

    /// Takes note of where the `len` bytes of a row start, which is where data before them ends.
    fn start_data(&mut self, row: &Row, len: u64) -> Result<(), Problem> {
        let Data { start, inner_end, end } = self.data;
        if row.offset == 0 {
            return Err(Problem::NoOffset);
        }
        if row.offset < end.unwrap_or(start) {
            return Err(Problem::Overlap { expected: end.unwrap_or(start), found: row.offset });
        }
        if row.offset == start && row.inner_offset < inner_end {
            return Err(Problem::InnerOverlap { expected: inner_end, found: row.inner_offset });
        }
        if row.offset != start {
            self.end_data(row.offset);
        }
        let inner_end = row.inner_offset.saturating_add(len);
        self.data = Data { start: row.offset, inner_end, end: None };
        Ok(())
    }

    /// Ends all data whose end is open at `end`, and lets go of the entries that waited for it.
    fn end_data(&mut self, end: u64) {
        if let Some(content) = self.open.as_mut().and_then(|open| open.entry.content.as_mut()) {
            end_chunks(content, end);
        }
        for mut entry in self.waiting.drain(..) {
            if let Some(content) = &mut entry.content {
                end_chunks(content, end);
            }
            (self.visitor)(entry);
        }
    }

    /// Completes the open entry: no chunk of it follows.
    fn close(&mut self) -> Result<(), Invalid> {
        let Some(Open { row, mut entry, end_offset }) = self.open.take() else { return Ok(()) };
        if let Some(content) = &mut entry.content {
            let (covered, size) = (covered(content), entry.size);
            if covered != size {
                return Err(invalid(row, &entry, Problem::Incomplete { covered, size }));
            }
            if let Placement::Blob { payload_len } = self.placement
                && end_offset > payload_len
            {
                let problem = Problem::Outside { found: end_offset, limit: payload_len };
                return Err(invalid(row, &entry, problem));
            }
            if end_offset == 0 {
                self.lacks_end_offset = true;
            } else {
                end_chunks(content, end_offset);
                self.data.end = Some(end_offset);
            }
        }
        let has_open_end = self.data.start != 0 && self.data.end.is_none();
        if has_open_end {
            self.waiting.push(entry)
        } else {
            (self.visitor)(entry)
        }
        Ok(())
    }
}

fn unplaced(row: &Row) -> Result<(), Problem> {
    match [row.offset, row.end_offset, row.inner_offset].into_iter().find(|offset| *offset != 0) {
        Some(found) => Err(Problem::Placed { found }),
        None => Ok(()),
    }
}

fn covered(content: &Content) -> u64 {
    content.chunks.last().map_or(0, |chunk| chunk.file.end())
}

fn end_chunks(content: &mut Content, end: u64) {
    for chunk in content.chunks.iter_mut().rev().take_while(|chunk| chunk.blob.is_empty()) {
        chunk.blob = BlobRange::new(chunk.blob.start(), end).unwrap_or(chunk.blob);
    }
    if let Some(last) = content.chunks.last() {
        content.range = BlobRange::new(content.range.start(), last.blob.end()).unwrap_or(content.range);
    }
}

fn check_strings(entry: &Entry, limit: u64) -> Result<(), Problem> {
    let names = [("name", entry.name.as_bytes()), ("link name", entry.link_name.as_bytes())];
    let attributes = entry.xattrs.keys().map(|name| ("name of an attribute", name.as_bytes()));
    for (what, text) in names.into_iter().chain(attributes) {
        if text.contains(&0) {
            return Err(Problem::Nul(what));
        }
        check_len(what, text, limit)?;
    }
    entry.xattrs.values().try_for_each(|value| check_len("attribute", value, limit))
}

fn check_len(what: &'static str, bytes: &[u8], limit: u64) -> Result<(), Problem> {
    let len = bytes.len() as u64;
    if len <= limit { Ok(()) } else { Err(Problem::TooLong { what, len, limit }) }
}

fn invalid(row: u64, entry: &Entry, problem: Problem) -> Invalid {
    Invalid::Row { row, name: entry.name.chars().take(100).collect(), problem }
}
