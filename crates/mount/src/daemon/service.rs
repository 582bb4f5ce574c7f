//! What verbs ask of a daemon, and what it does about it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use chunked::{BlobDigest, TocDigest};
use store::{LayerRecord, LayerState, Store};

use super::RunDirectory;
use super::attachments::{Attachment, Attachments};
use super::nodes::Nodes;
use super::protocol::{Answer, Question, Status};
use super::serve::{Ended, TICK};
use super::served::{Served, ServedLayer};
use crate::contents::{self, Tables};
use crate::error::Error;
use crate::fetch::{Fetcher, Layer};
use crate::profile::Profile;
use crate::quarantine;

/// What verbs ask.
#[derive(Debug)]
pub(super) struct Service<'f, 's> {
    pub(super) store: &'s Store,
    pub(super) fetcher: &'f Fetcher<'s>,
    pub(super) run: RunDirectory,
    pub(super) nodes: Nodes,
    attachments: Attachments,
    served: Mutex<BTreeMap<BlobDigest, Served>>,
    attaching: Mutex<()>,
    is_stopping: AtomicBool,
    ended: Mutex<Ended>,
    /// Whether an image was detached since somebody looked.
    pub(super) is_detached: AtomicBool,
}

impl<'f, 's> Service<'f, 's> {
    pub(super) fn new(store: &'s Store, fetcher: &'f Fetcher<'s>, run: RunDirectory) -> Self {
        let (nodes, attachments) = (Nodes::of(run.path()), Attachments::of(store.path()));
        let (is_stopping, is_detached) = (AtomicBool::new(false), AtomicBool::new(false));
        let (served, attaching) = (Mutex::default(), Mutex::default());
        let ended = Mutex::new(Ended::Asked);
        Self { store, fetcher, run, nodes, attachments, served, attaching, is_stopping, ended, is_detached }
    }

    /// Attaches what was attached before. The tables that the kernel knows get the numbers it knows them by.
    pub(super) fn resume(&self, is_taken_over: bool) -> Result<(), Error> {
        match is_taken_over {
            false => self.nodes.clear()?,
            true => {
                for toc_digest in self.nodes.list()? {
                    let record = self.store.layers().get(&toc_digest)?;
                    let record = record.ok_or_else(|| gone(&toc_digest))?;
                    self.fetcher.attach(&record, self.table(&record)?);
                }
            }
        }
        for attachment in self.attachments.list()? {
            // One that cannot be served does not keep the others from it.
            let _ = self.serve(attachment);
        }
        Ok(())
    }

    fn table(&self, record: &LayerRecord) -> Result<contents::Table, Error> {
        contents::build(self.store, record, &contents::directory_of(self.store))
    }

    pub(super) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
    }

    /// Ends, unless it ends already.
    pub(super) fn end(&self, why: Ended) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_stopping.swap(true, Ordering::AcqRel) {
            *ended = why;
        }
    }

    pub(super) fn ended(&self) -> Ended {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    /// Answers a question.
    pub(super) fn answer(&self, question: Question) -> Answer {
        let answered = match question {
            Question::Attach(attachment) => self.attach(attachment),
            Question::Detach { manifest } => self.detach(&manifest),
            Question::Status => self.status().map(|status| Answer::Status(Box::new(status))),
            Question::Wait { manifest } => self.wait(&manifest),
            Question::Failures { manifest } => self.failures(&manifest),
            Question::GiveWay => {
                self.end(Ended::GaveWay);
                Ok(Answer::Done)
            }
            Question::Stop => {
                self.end(Ended::Asked);
                Ok(Answer::Done)
            }
            Question::StopIfIdle => Ok(self.stop_if_idle()),
        };
        answered.unwrap_or_else(|error| Answer::Failed { why: crate::error::chain(&error) })
    }

    /// Ends, unless something is served. Nothing is from then on.
    fn stop_if_idle(&self) -> Answer {
        let served = self.served();
        if served.is_empty() {
            self.end(Ended::Asked);
            return Answer::Done;
        }
        Answer::Busy
    }

    fn attach(&self, attachment: Attachment) -> Result<Answer, Error> {
        let manifest = attachment.manifest;
        let was_served = self.served().contains_key(&manifest);
        self.attachments.put(&attachment)?;
        let served = self.serve(attachment);
        if served.is_err() && !was_served {
            // The next daemon might serve it before those that it is refused beside.
            self.attachments.remove(&manifest)?;
        }
        match served {
            Ok(true) => Ok(Answer::Attached { objects: self.run.objects() }),
            Ok(false) => Ok(Answer::Ends),
            Err(Error::Disputed { content }) => Ok(Answer::Disputed { content }),
            Err(error) => Err(error),
        }
    }

    /// Serves an image from now on; `false` if everything ends.
    fn serve(&self, attachment: Attachment) -> Result<bool, Error> {
        let layers = self.serve_layers(&attachment)?;
        if let Some(profile) = Profile::load(self.store.path(), &attachment.manifest)? {
            self.fetcher.prefetch_all(&profile.reads)?;
        }
        let mut served = self.served();
        if self.is_stopping() && self.ended() == Ended::Asked {
            return Ok(false);
        }
        served.insert(attachment.manifest, Served { attachment, layers });
        Ok(true)
    }

    /// Serves the layers of an image, or none.
    fn serve_layers(&self, attachment: &Attachment) -> Result<Vec<ServedLayer>, Error> {
        // The tables have to be listed in the order of their numbers: whoever takes over counts them.
        let _one_at_a_time = self.attaching.lock().unwrap_or_else(PoisonError::into_inner);
        let mut records = Vec::new();
        for toc_digest in &attachment.layers {
            let record =
                self.store.layers().get(toc_digest)?.ok_or_else(|| no_layer(attachment, toc_digest))?;
            quarantine::check(self.store.path(), &record)?;
            records.push(record);
        }
        self.check_disputes(records.iter().filter(|record| record.state == LayerState::Indexed))?;
        let serve = |record: LayerRecord| match record.state {
            LayerState::Indexed => Ok(ServedLayer::Lazy(self.serve_layer(&record, attachment)?)),
            state => Ok(ServedLayer::Complete(record.toc_digest, state)),
        };
        records.into_iter().map(serve).collect()
    }

    /// Fails when layers say something else of a content than those that are served, or each other.
    fn check_disputes<'r>(&self, records: impl Iterator<Item = &'r LayerRecord>) -> Result<(), Error> {
        let fresh = Tables::default();
        for record in records.filter(|record| self.fetcher.tables().number(&record.toc_digest).is_none()) {
            let table = self.table(record)?;
            for tables in [self.fetcher.tables(), &fresh] {
                if let Some(content) = tables.dispute(&table)? {
                    return Err(Error::Disputed { content });
                }
            }
            fresh.add(&record.toc_digest, table);
        }
        Ok(())
    }

    fn serve_layer(&self, record: &LayerRecord, attachment: &Attachment) -> Result<Arc<Layer>, Error> {
        if self.fetcher.tables().number(&record.toc_digest).is_none() {
            self.nodes.add(&record.toc_digest)?;
        }
        let layer = self.fetcher.attach(record, self.table(record)?);
        self.fetcher.add_place(&layer, &attachment.place);
        if attachment.fill {
            self.fetcher.fill(&layer, true);
        }
        Ok(layer)
    }

    fn detach(&self, manifest: &BlobDigest) -> Result<Answer, Error> {
        let removed = self.attachments.remove(manifest)?;
        self.is_detached.store(true, Ordering::Release);
        let Some(served) = self.served().remove(manifest) else {
            return if removed { Ok(Answer::Done) } else { Err(not_served(manifest)) };
        };
        let still: Vec<_> = self.served().values().flat_map(Served::lazy).map(|layer| layer.number).collect();
        for layer in served.lazy().filter(|layer| !still.contains(&layer.number)) {
            self.fetcher.fill(layer, false);
        }
        Ok(Answer::Done)
    }

    /// Fills an image in, and returns once all of it is here and verified.
    fn wait(&self, manifest: &BlobDigest) -> Result<Answer, Error> {
        let served = self.served().get(manifest).cloned().ok_or_else(|| not_served(manifest))?;
        served.lazy().for_each(|layer| self.fetcher.fill(layer, true));
        let _hurry = self.fetcher.hurry();
        while !self.is_stopping() {
            let status = served.status();
            if status.is_done() {
                return Ok(Answer::Done);
            }
            if let Some((toc_digest, why)) = status.quarantined() {
                return Err(Error::Daemon { why: format!("the layer {toc_digest} is in quarantine: {why}") });
            }
            thread::sleep(TICK);
        }
        Ok(Answer::Ends)
    }

    fn failures(&self, manifest: &BlobDigest) -> Result<Answer, Error> {
        let served = self.served().get(manifest).cloned().ok_or_else(|| not_served(manifest))?;
        Ok(Answer::Failures { failures: served.lazy().filter_map(|layer| layer.failure()).collect() })
    }

    /// Says how everything is.
    pub(super) fn status(&self) -> Result<Status, Error> {
        let served: Vec<_> = self.served().values().cloned().collect();
        let images =
            served.iter().map(|served| served.full_status(self.fetcher)).collect::<Result<_, _>>()?;
        Ok(Status {
            pid: std::process::id(),
            objects: self.run.objects(),
            images,
            counts: self.fetcher.counters().counts(),
            pending: self.fetcher.pending(),
        })
    }

    fn served(&self) -> MutexGuard<'_, BTreeMap<BlobDigest, Served>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn no_layer(attachment: &Attachment, toc_digest: &TocDigest) -> Error {
    let image = attachment.name.clone();
    Error::Store(store::Error::NoLayer { image, toc_digest: Box::new(*toc_digest) })
}

fn gone(toc_digest: &TocDigest) -> Error {
    Error::Daemon {
        why: format!("the kernel knows files of the layer {toc_digest}, which is not in the store"),
    }
}

fn not_served(manifest: &BlobDigest) -> Error {
    Error::Daemon { why: format!("it does not serve an image with the manifest {manifest}") }
}
