//! One layer of a pull: opened, planned, brought in, recorded.

use std::collections::BTreeMap;

use chunked::annotations::Annotations;
use chunked::{ChunkedLayer, Class, ContentDigest, DiffId, Layer};

use super::report::{How, LayerReport};
use super::{Pull, Task};
use crate::error::Error;
use crate::fetch::{Failure, Fetch, Needs, OpenPartials, Verification, fetch_plain};
use crate::index;
use crate::layers::{LayerRecord, LayerState, Origin};
use crate::store::Store;

/// A layer that was looked at.
#[derive(Debug)]
pub enum Opened {
    /// It is in the store, as trusted as is wanted.
    Present(LayerRecord),
    /// It has a TOC.
    Chunked(Box<ChunkedLayer>),
    /// It can only be read whole, for this reason.
    Whole(String),
}

/// What is to be done for a layer.
#[derive(Debug)]
pub(super) enum Planned<'a> {
    /// Nothing.
    Present(&'a LayerRecord),
    /// Fetch what is missing.
    Parts(&'a ChunkedLayer, Needs<'a>),
    /// Read the blob whole, for this reason.
    Whole(String),
}

/// Finds a layer that is here and as trusted as is wanted, so that nothing is fetched for it.
///
/// # Errors
/// Those of the store.
pub fn find_present(
    store: &Store,
    annotations: &BTreeMap<String, String>,
    diff_id: Option<&DiffId>,
    verification: Verification,
) -> Result<Option<LayerRecord>, Error> {
    let wanted = match verification {
        Verification::DiffId => LayerState::Proven,
        Verification::Toc => LayerState::Complete,
    };
    let toc_digest = match Annotations::parse(|key| annotations.get(key).map(String::as_str)) {
        Ok(Some(Annotations::ZstdChunked { toc_digest, .. })) => Some(toc_digest),
        _ => None,
    };
    let present = store.layers().find_trusted(toc_digest.as_ref(), diff_id)?;
    Ok(present.filter(|record| record.state >= wanted))
}

impl Pull<'_> {
    pub(super) fn at_once(&self) -> usize {
        self.options.layers.map_or(3, Into::into)
    }

    pub(super) fn open(&self, task: &Task<'_>) -> Result<Opened, Error> {
        let verification = self.options.fetch.verification;
        if let Some(record) =
            find_present(self.store, &task.annotations, task.diff_id.as_ref(), verification)?
        {
            return Ok(Opened::Present(record));
        }
        let lookup = |key: &str| task.annotations.get(key).map(String::as_str);
        match Layer::open(&*task.source, lookup, &self.options.fetch.limits) {
            Ok(Layer::Chunked(layer)) => Ok(Opened::Chunked(layer)),
            Ok(Layer::Plain { why }) => Ok(Opened::Whole(why.to_string())),
            Err(error) => match Failure::Layer(error) {
                // The source gives no parts, or nobody can read this TOC.
                failure if failure.class() == Class::Unsupported => Ok(Opened::Whole(failure.to_string())),
                failure => Err(Error::of_layer(&task.blob, failure)),
            },
        }
    }

    /// Compares the layers with the store, the lowest first, and decides which of them brings what they share.
    pub(super) fn plan<'l>(&self, opened: &'l [Opened]) -> Result<Vec<Planned<'l>>, Error> {
        let plan = |(index, opened): (usize, &'l Opened)| {
            Ok(match opened {
                Opened::Present(record) => Planned::Present(record),
                Opened::Whole(why) => Planned::Whole(why.clone()),
                Opened::Chunked(layer) => {
                    let elsewhere = |content: &ContentDigest| self.elsewhere.is_claimed(content);
                    match Needs::of(self.store, layer, &elsewhere)? {
                        Ok(needs) => {
                            self.elsewhere.claim(index, needs.gathered());
                            Planned::Parts(layer, needs)
                        }
                        Err(why) => Planned::Whole(why.to_string()),
                    }
                }
            })
        };
        opened.iter().enumerate().map(plan).collect()
    }

    /// Brings one layer in, and records it.
    pub(super) fn bring(
        &self,
        task: &Task<'_>,
        planned: &Planned<'_>,
    ) -> Result<(LayerRecord, LayerReport), Error> {
        let (record, how) = match planned {
            Planned::Present(record) => ((*record).clone(), How::Present),
            Planned::Parts(layer, needs) => self.parts(task, layer, needs)?,
            Planned::Whole(why) => self.whole(task, why.clone())?,
        };
        let report = LayerReport {
            blob: task.blob,
            blob_len: task.source.blob_len(),
            how,
            traffic: task.source.traffic(),
            seconds: self.start.elapsed().as_secs_f64(),
        };
        Ok((record, report))
    }

    fn parts(
        &self,
        task: &Task<'_>,
        layer: &ChunkedLayer,
        needs: &Needs<'_>,
    ) -> Result<(LayerRecord, How), Error> {
        let fetch = Fetch {
            store: self.store,
            source: &*task.source,
            layer,
            needs,
            options: &self.options.fetch,
            progress: self.progress,
            elsewhere: &self.elsewhere,
            partials: OpenPartials::default(),
        };
        let fetched = match fetch.run(task.diff_id.as_ref()) {
            Ok(fetched) => fetched,
            Err(failure) if failure.class() == Class::Unsupported => {
                return self.whole(task, failure.to_string());
            }
            Err(failure) => return Err(Error::of_layer(&task.blob, failure)),
        };
        let record = LayerRecord {
            toc_digest: layer.toc_digest,
            blob: task.blob,
            blob_len: layer.blob_len,
            payload_len: layer.payload_len,
            diff_id: fetched.diff_id.or(task.diff_id),
            tar_len: fetched.tar_len,
            state: if fetched.diff_id.is_some() { LayerState::Proven } else { LayerState::Complete },
            origin: Origin::Chunked,
        };
        self.store.index().add(index::chunks(&layer.toc))?;
        let tar_split = layer.tar_split.as_ref().map(|tar_split| tar_split.blob.as_slice());
        self.store.layers().save(&record, &layer.toc_blob, tar_split)?;
        Ok((record, How::Parts(fetched)))
    }

    fn whole(&self, task: &Task<'_>, why: String) -> Result<(LayerRecord, How), Error> {
        let failed = |failure| Error::of_layer(&task.blob, failure);
        let plain = fetch_plain(self.store, task, &self.options.fetch, self.progress).map_err(failed)?;
        let record = LayerRecord {
            toc_digest: plain.toc_digest,
            blob: task.blob,
            blob_len: task.source.blob_len(),
            payload_len: 0,
            diff_id: Some(plain.diff_id),
            tar_len: plain.tar_len,
            state: LayerState::Proven,
            origin: Origin::IndexedPlain,
        };
        let tar_split = plain.tar_split.as_ref().ok().map(|tar_split| tar_split.blob.as_slice());
        self.store.layers().save(&record, &plain.toc, tar_split)?;
        self.store.index().add(index::chunks(&self.store.layers().toc(&record)?))?;
        Ok((record, How::Whole { why, tar_len: plain.tar_len }))
    }
}
