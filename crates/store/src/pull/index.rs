//! Opens layers without bringing their content: TOC and tar-split come, verified, and what is in them can be fetched later.

use chunked::digest::DiffId;
use chunked::{ChunkedLayer, Entry};

use super::layer::Opened;
use super::present::Identity;
use super::{Options, Pull, Task, find_present};
use crate::error::Error;
use crate::fetch::{self, Failure, Verification};
use crate::layers::{LayerRecord, LayerState, Origin, if_sound};
use crate::store::Store;

/// Why a layer is brought in although it has a TOC.
const NO_CHUNK_DIGESTS: &str = "the TOC has no digests for the chunks of files";
const DISPUTED: &str = "another image claims that the layer has another diff ID";

/// A layer that can be used before its content is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Indexed {
    /// What is known of it: [`LayerState::Indexed`], or better.
    pub record: LayerRecord,
    /// Why it was brought in whole, if it had to be.
    pub whole: Option<String>,
    /// The entries of its TOC, if that came now: whoever goes on with them does not have to read it again.
    pub entries: Option<Vec<Entry>>,
}

/// Brings in the TOC and the tar-split of layers. A layer that cannot be fetched in parts is brought in whole.
///
/// Returns, for each task, the layer.
///
/// # Errors
/// Those of [`pull`](super::pull()).
pub fn index(
    store: &Store,
    tasks: &[Task<'_>],
    options: &Options,
    progress: &dyn fetch::Progress,
) -> Result<Vec<Indexed>, Error> {
    let pull = Pull::new(store, options, progress, tasks.len());
    pull.each(tasks, |_, task| pull.index(task))
}

impl Pull<'_> {
    fn index(&self, task: &Task<'_>) -> Result<Indexed, Error> {
        let here = |record| Indexed { record, whole: None, entries: None };
        let whole = |record, why| Indexed { whole: Some(why), ..here(record) };
        let identity = task.identity();
        if let Some(record) = find_indexed(self.store, &identity, self.options.fetch.verification)? {
            return Ok(here(record));
        }
        let _lock = self.store.layers().lock(&task.blob)?;
        // Whoever had the lock may have been about the same.
        if let Some(record) = find_indexed(self.store, &identity, self.options.fetch.verification)? {
            return Ok(here(record));
        }
        let mut entries = Vec::new();
        match self.open(task, |entry| entries.push(entry))? {
            Opened::Present(record) => Ok(here(record)),
            Opened::Chunked(layer, contents) => {
                let is_disputed = self.is_disputed(task, &layer)?;
                if contents.has_chunk_digests() && !is_disputed {
                    let record = self.save_indexed(task, &layer)?;
                    return Ok(Indexed { entries: Some(entries), ..here(record) });
                }
                let needs = self.needs(0, &layer, &contents)?;
                let (record, _) = self.parts(0, task, &layer, &needs)?;
                self.store.sync()?;
                Ok(whole(record, if is_disputed { DISPUTED } else { NO_CHUNK_DIGESTS }.to_owned()))
            }
            Opened::Plain(why) => {
                let (record, _) = self.whole(task, why.clone())?;
                self.store.sync()?;
                Ok(whole(record, why))
            }
        }
    }

    /// Tells whether another image claims another diff ID of the layer, and nobody knows yet who is right. A layer has one
    /// record, which has one claim: to replace it would let the one image be judged by what the other says, and to go by it
    /// would let whoever comes first shut the others out. So the layer is brought in whole and its tar is hashed, which
    /// leaves the record as it is unless the claim of this image is proven.
    ///
    /// # Errors
    /// [`Failure::DiffId`] when it is proven to have another one: no image takes back what was proven.
    fn is_disputed(&self, task: &Task<'_>, layer: &ChunkedLayer) -> Result<bool, Error> {
        let Some(record) = if_sound(self.store.layers().get(&layer.toc_digest))? else { return Ok(false) };
        match (record.diff_id, task.diff_id) {
            (Some(found), Some(expected)) if found == expected => Ok(false),
            (Some(found), Some(expected)) if record.state == LayerState::Proven => {
                Err(Error::of_layer(&task.blob, Failure::DiffId { expected, found }))
            }
            (Some(_), Some(_)) => Ok(true),
            _ => Ok(false),
        }
    }

    fn save_indexed(&self, task: &Task<'_>, layer: &ChunkedLayer) -> Result<LayerRecord, Error> {
        let record = LayerRecord {
            toc_digest: layer.toc_digest,
            blob: task.blob,
            blob_len: layer.blob_len,
            payload_len: layer.payload_len,
            diff_id: task.diff_id,
            tar_len: 0,
            state: LayerState::Indexed,
            origin: Origin::Chunked,
        };
        let tar_split = layer.tar_split.as_ref().map(|tar_split| tar_split.blob.as_slice());
        self.store.layers().save(&record, &layer.toc_blob, tar_split)?;
        Ok(record)
    }
}

/// Finds a layer whose TOC is here, or one that is here altogether and as trusted as is wanted.
///
/// # Errors
/// Those of the store.
pub fn find_indexed(
    store: &Store,
    identity: &Identity,
    verification: Verification,
) -> Result<Option<LayerRecord>, Error> {
    if let Some(record) = find_present(store, identity, verification)? {
        return Ok(Some(record));
    }
    let Some(toc_digest) = &identity.toc_digest else { return Ok(None) };
    let record = if_sound(store.layers().get(toc_digest))?;
    // What was indexed may have been said to have another tar.
    let is_same = |record: &LayerRecord| same_diff_id(record.diff_id, identity.diff_id);
    Ok(record.filter(|record| record.origin == Origin::Chunked && is_same(record)))
}

fn same_diff_id(known: Option<DiffId>, said: Option<DiffId>) -> bool {
    said.is_none() || known == said
}
