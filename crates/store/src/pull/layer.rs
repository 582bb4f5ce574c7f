//! One layer of a pull: opened, planned, brought in, recorded.

use chunked::{ChunkedLayer, Class, ContentDigest, Entry, Layer};

use super::present::find_present;
use super::report::{How, LayerReport};
use super::{Accept, Pull, Task};
use crate::error::Error;
use crate::fetch::{Contents, Failure, Fetch, Fetched, Needs, fetch_plain};
use crate::index;
use crate::layers::{LayerRecord, LayerState, Origin};

/// A layer that was looked at.
#[derive(Debug)]
pub(super) enum Opened {
    /// It is in the store, as trusted as is wanted.
    Present(LayerRecord),
    /// It has a TOC, and is fetched in parts.
    Chunked(Box<ChunkedLayer>, Contents),
    /// It can only be read whole, for this reason.
    Plain(String),
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

/// Times that a layer is compared with a store that others change meanwhile.
const LOOKS: usize = 3;

impl Pull<'_> {
    /// Looks at a layer. The entries of a TOC that is read go to `visitor`; they are of no use unless it comes out chunked.
    pub(super) fn open(&self, task: &Task<'_>, mut visitor: impl FnMut(Entry)) -> Result<Opened, Error> {
        let verification = self.options.fetch.verification;
        let identity = task.identity();
        let will_do = |record: &LayerRecord| match self.options.accept {
            Accept::SameTar => true,
            Accept::SameToc => identity.toc_digest.is_none_or(|toc_digest| record.toc_digest == toc_digest),
        };
        if let Some(record) = find_present(self.store, &identity, verification)?.filter(will_do) {
            return Ok(Opened::Present(record));
        }
        let mut contents = Contents::with_names(self.options.seeds.go_by_paths());
        let add = |entry| {
            contents.add(&entry);
            visitor(entry);
        };
        let opened = Layer::visit(&*task.source, |key| task.annotation(key), &self.options.fetch.limits, add);
        match opened.map_err(|error| Error::of_layer(&task.blob, Failure::Layer(error)))? {
            Layer::Chunked(layer) => Ok(match contents.check(&layer) {
                Ok(()) => Opened::Chunked(layer, contents),
                Err(why) => Opened::Plain(why.to_string()),
            }),
            Layer::Plain { why } => Ok(Opened::Plain(why.to_string())),
        }
    }

    /// Compares the layers with the store, the lowest first, and decides which of them brings what they share.
    pub(super) fn plan<'l>(&self, opened: &'l [Opened]) -> Result<Vec<Planned<'l>>, Error> {
        let count = opened.len();
        let plan = |(index, opened): (usize, &'l Opened)| {
            Ok(match opened {
                Opened::Present(record) => Planned::Present(record),
                Opened::Plain(why) => Planned::Whole(why.clone()),
                Opened::Chunked(layer, contents) => {
                    let needs = self.needs(index, layer, contents)?;
                    // Nobody waits for the last one, which for many an image is the only one.
                    if index + 1 < count {
                        self.elsewhere.claim(index, needs.gathered());
                    }
                    Planned::Parts(layer, needs)
                }
            })
        };
        opened.iter().enumerate().map(plan).collect()
    }

    pub(super) fn needs<'l>(
        &self,
        index: usize,
        layer: &ChunkedLayer,
        contents: &'l Contents,
    ) -> Result<Needs<'l>, Error> {
        let elsewhere = |content: &ContentDigest| self.elsewhere.is_claimed(index, content);
        let jobs = self.options.fetch.jobs;
        Needs::of(self.store, contents, layer.payload_len, jobs, &self.stop, &elsewhere)
    }

    /// Brings one layer in, and records it.
    pub(super) fn bring(
        &self,
        index: usize,
        task: &Task<'_>,
        planned: &Planned<'_>,
    ) -> Result<(LayerRecord, LayerReport), Error> {
        let (record, how) = match planned {
            Planned::Present(record) => ((*record).clone(), How::Present),
            Planned::Parts(layer, needs) => self.parts(index, task, layer, needs)?,
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

    pub(super) fn parts(
        &self,
        index: usize,
        task: &Task<'_>,
        layer: &ChunkedLayer,
        needs: &Needs<'_>,
    ) -> Result<(LayerRecord, How), Error> {
        let mut outcome = self.fetch(task, layer, needs);
        for _ in 1..LOOKS {
            match &outcome {
                Err(failure) if failure.is_outdated() && !self.is_stopped() => {}
                _ => break,
            }
            outcome = self.fetch(task, layer, &self.needs(index, layer, needs.contents())?);
        }
        let fetched = match outcome {
            Ok(fetched) => fetched,
            Err(failure) if failure.class() == Class::Unsupported => {
                return self.whole(task, failure.reason());
            }
            Err(failure) => return Err(Error::of_layer(&task.blob, failure)),
        };
        let record = LayerRecord {
            toc_digest: layer.toc_digest,
            blob: task.blob,
            blob_len: layer.blob_len,
            payload_len: layer.payload_len,
            diff_id: fetched.diff_id,
            tar_len: fetched.tar_len,
            state: if fetched.diff_id.is_some() { LayerState::Proven } else { LayerState::Complete },
            origin: Origin::Chunked,
        };
        self.store.index().add(needs.contents().places())?;
        let tar_split = layer.tar_split.as_ref().map(|tar_split| tar_split.blob.as_slice());
        self.store.layers().save(&record, &layer.toc_blob, tar_split)?;
        Ok((record, How::Parts(fetched)))
    }

    fn fetch(&self, task: &Task<'_>, layer: &ChunkedLayer, needs: &Needs<'_>) -> Result<Fetched, Failure> {
        let fetch = &self.options.fetch;
        Fetch::new(self.store, &*task.source, (layer, needs), fetch, self.others(), self.progress)
            .run(task.diff_id.as_ref())
    }

    pub(super) fn whole(&self, task: &Task<'_>, why: String) -> Result<(LayerRecord, How), Error> {
        let failed = |failure| Error::of_layer(&task.blob, failure);
        let plain =
            fetch_plain(self.store, task, &self.options.fetch, &self.stop, self.progress).map_err(failed)?;
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
