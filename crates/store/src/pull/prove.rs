//! Proves a layer all of whose content is here, by what the store has of it.

use std::sync::atomic::AtomicBool;

use chunked::digest::TarSplitDigest;
use chunked::layer::TarSplit;
use chunked::location::Located;
use chunked::toc::Toc;
use chunked::{BlobRange, ChunkedLayer, Dialect, Location};

use crate::error::Error;
use crate::fetch::{Contents, Elsewhere, Failure, Fetch, Needs, NoProgress, Options, Others};
use crate::layers::{LayerRecord, LayerState};
use crate::seed::Seeds;
use crate::store::Store;

/// Rebuilds the tar of a layer from its tar-split and the objects, and compares it with the diff ID in the record. Returns
/// the record of a proven layer; without a diff ID to compare with, of a complete one. [`settle`] makes it that of the store.
///
/// # Errors
/// [`Failure::DiffId`] in [`Error::Layer`] when the tar is another one; [`Failure::Read`] when content is missing.
pub fn prove(store: &Store, record: &LayerRecord, options: &Options) -> Result<LayerRecord, Error> {
    let failed = |failure| Error::of_layer(&record.blob, failure);
    let mut contents = Contents::default();
    let trailer = store.layers().visit_toc(record, |entry| contents.add(&entry))?;
    let layer = stored(store, record, Toc { entries: Vec::new(), trailer })?;
    let (elsewhere, stop) = (Elsewhere::default(), AtomicBool::new(false));
    let needs = Needs::of(store, &contents, record.payload_len, options.jobs, &stop, &|_| false)?;
    // Nothing can be read of it, so that what is missing is an error.
    let nowhere: &[u8] = &[];
    let others = Others { elsewhere: &elsewhere, at_once: 1, stop: &stop, seeds: &Seeds::default() };
    let fetched = Fetch::new(store, &nowhere, (&layer, &needs), options, others, &NoProgress)
        .run(record.diff_id.as_ref())
        .map_err(failed)?;
    let is_proven = record.diff_id.is_some() && fetched.diff_id == record.diff_id;
    let state = if is_proven { LayerState::Proven } else { LayerState::Complete };
    store.index().add(contents.places())?;
    Ok(LayerRecord { state, tar_len: fetched.tar_len, ..record.clone() })
}

/// Puts the content of layers on disk, and then writes down what was found of them.
///
/// # Errors
/// Those of the file system.
pub fn settle(store: &Store, records: &[LayerRecord]) -> Result<(), Error> {
    store.sync()?;
    records.iter().try_for_each(|record| store.layers().update(record))
}

/// Puts a layer together from the files of the store. Where they were in the blob is of no interest any more.
fn stored(store: &Store, record: &LayerRecord, toc: Toc) -> Result<ChunkedLayer, Error> {
    let toc_blob = store.layers().toc_bytes(record)?;
    let tar_split = store.layers().tar_split(record)?.map(|blob| TarSplit {
        digest: TarSplitDigest::of(&blob),
        blob,
        len: u64::MAX,
        is_verified: true,
    });
    let missing = || Error::of_layer(&record.blob, Failure::Order);
    let range = BlobRange::saturating(record.payload_len, toc_blob.len() as u64);
    Ok(ChunkedLayer {
        dialect: Dialect::Current,
        blob_len: record.blob_len,
        location: Location { toc: Located { range, len: 0 }, tar_split: None },
        payload_len: record.payload_len,
        footer: None,
        toc,
        toc_blob,
        toc_digest: record.toc_digest,
        annotations: None,
        tar_split: Some(tar_split.ok_or_else(missing)?),
    })
}
