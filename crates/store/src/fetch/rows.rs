//! The entries of a TOC, read again: they are not kept while a layer is fetched.

use std::borrow::Borrow;
use std::cell::RefCell;
use std::vec;

use chunked::input::Input;
use chunked::{ChunkedLayer, Entry, Error, Limits, toc};
use crossbeam_channel::{Receiver, Sender};

/// Entries that are handed over at once.
const BATCH: usize = 256;

/// An entry with its place in the TOC.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) index: usize,
    entry: Entry,
}

impl Borrow<Entry> for Row {
    fn borrow(&self) -> &Entry {
        &self.entry
    }
}

/// Entries, or why there are no more.
pub(super) type Batch = Result<Vec<Entry>, Error>;

/// Reads the entries of a layer's TOC, until nobody takes them any more.
pub(super) fn read(layer: &ChunkedLayer, limits: &Limits, batches: &Sender<Batch>) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut is_wanted = true;
    let read = visit(layer, limits, |entry| {
        if is_wanted {
            batch.push(entry);
            if batch.len() == BATCH {
                is_wanted =
                    batches.send(Ok(std::mem::replace(&mut batch, Vec::with_capacity(BATCH)))).is_ok();
            }
        }
    });
    // Whoever does not take this has ended.
    let _ = batches.send(read.map(|()| batch));
}

/// Returns the name of an entry. That takes long, and only messages need one.
pub(super) fn name(layer: &ChunkedLayer, limits: &Limits, index: usize) -> Option<String> {
    let (mut name, mut next) = (None, 0_usize);
    let visited = visit(layer, limits, |entry| {
        if next == index {
            name = Some(entry.name);
        }
        next = next.saturating_add(1);
    });
    visited.ok().and(name)
}

fn visit(layer: &ChunkedLayer, limits: &Limits, visitor: impl FnMut(Entry)) -> Result<(), Error> {
    let read = |source| Error::Read { what: "the TOC", source };
    let json = Input::open(layer.toc_blob.as_slice(), |_| {}).map_err(read)?;
    toc::visit(json, layer.payload_len, limits, visitor).map(drop)
}

/// The entries, as an iterator. It ends early when they cannot be read.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    batches: Receiver<Batch>,
    batch: vec::IntoIter<Entry>,
    next: usize,
    failure: &'a RefCell<Option<Error>>,
}

impl<'a> Rows<'a> {
    /// Takes what [`read`] sends; leaves in `failure` why it ended early.
    pub(super) fn new(batches: Receiver<Batch>, failure: &'a RefCell<Option<Error>>) -> Self {
        Self { batches, batch: Vec::new().into_iter(), next: 0, failure }
    }
}

impl Iterator for Rows<'_> {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        loop {
            if let Some(entry) = self.batch.next() {
                let index = self.next;
                self.next = index.saturating_add(1);
                return Some(Row { index, entry });
            }
            match self.batches.recv().ok()? {
                Ok(batch) => self.batch = batch.into_iter(),
                Err(error) => *self.failure.borrow_mut() = Some(error),
            }
        }
    }
}
