//! Puts the parts of a daemon together.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;
use std::path::Path;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use chunked::{BlobDigest, TocDigest};
use rustix::mount::UnmountFlags;
use store::{LayerRecord, LayerState, Store};

use super::attachments::{Attachment, Attachments};
use super::keep::{Inherited, Keep, OBJECTS};
use super::nodes::Nodes;
use super::protocol::{Answer, ImageStatus, LayerStatus, Question, Status};
use super::room::{Room, Watch};
use super::{RunDirectory, server};
use crate::contents::{self, Tables};
use crate::error::{Error, at_path};
use crate::fetch::{self, Events, Failure, Fetcher, Layer, Progress, Supply, Verdict};
use crate::fuse::{self, Device, Devices, Session};
use crate::profile::Profile;
use crate::quarantine;

/// Between two looks whether everything ends.
const TICK: Duration = Duration::from_millis(100);

/// How a daemon works.
#[derive(Debug)]
pub struct Options {
    /// How content is fetched.
    pub fetch: fetch::Options,
    /// How the kernel is answered.
    pub fuse: fuse::Options,
    /// Threads that answer the kernel, at most 16.
    pub threads: usize,
    /// Where metrics can be asked for, besides the socket for verbs.
    pub metrics: Option<TcpListener>,
    /// How often it says that it is well.
    pub watchdog: Option<Duration>,
    /// How much room the content of files may take; `None` when nobody cares.
    pub room: Option<Room>,
}

impl Default for Options {
    fn default() -> Self {
        let (fetch, fuse) = (fetch::Options::default(), fuse::Options::default());
        Self { fetch, fuse, threads: 4, metrics: None, watchdog: None, room: None }
    }
}

/// Why a daemon ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to.
    Asked,
    /// So that somebody can have the store for itself. The next one is to be started.
    GaveWay,
    /// Because content takes more room than it may, and some of it can go: [`store::gc::evict`] takes the store for itself.
    /// Then the next one is to be started.
    NoRoom,
}

/// Layers that the daemon of a store serves, or the next one will, whether they are mounted or not.
#[derive(Debug, Default)]
pub struct ServedLayers {
    /// Those of images that are attached.
    pub attached: BTreeSet<TocDigest>,
    /// Those that the kernel may remember files of.
    pub remembered: BTreeSet<TocDigest>,
}

impl ServedLayers {
    /// Lists the layers that the daemon of the store at `store` serves.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn of(store: &Path) -> Result<Self, Error> {
        let attached = Attachments::of(store).list()?.into_iter().flat_map(|attachment| attachment.layers);
        let remembered = Nodes::of(&RunDirectory::path_in(store)).list()?;
        Ok(Self { attached: attached.collect(), remembered: remembered.into_iter().collect() })
    }

    /// Lists all of them.
    pub fn all(&self) -> BTreeSet<TocDigest> {
        self.attached.union(&self.remembered).copied().collect()
    }
}

/// Has the next daemon of the store at `store` not serve an image. No daemon runs meanwhile: whoever calls this has the store
/// for itself.
///
/// # Errors
/// Those of the file system.
pub fn forget(store: &Path, manifest: &BlobDigest) -> Result<(), Error> {
    Attachments::of(store).remove(manifest).map(drop)
}

/// Serves what is attached to a store, until a verb or `stop` ends it.
///
/// # Errors
/// [`Error::DaemonRuns`] when there is a daemon; those of the store and the system.
pub fn serve(
    store: &Store,
    (supply, events): (&dyn Supply, &dyn Events),
    mut inherited: Inherited,
    keep: &Keep,
    options: &Options,
    stop: &AtomicBool,
) -> Result<Ended, Error> {
    let run = RunDirectory::open(store.path())?;
    let _lock = match inherited.lock.take() {
        Some(lock) => lock,
        None => run.try_lock()?.ok_or_else(|| Error::DaemonRuns { store: store.path().to_owned() })?.into(),
    };
    let control = inherited.control.take().map_or_else(|| run.listen(), Ok)?;
    let (fetcher, ended) = Fetcher::new(store, supply, events, options.fetch);
    let service = Service::new(store, &fetcher, run);
    let is_taken_over = !inherited.objects.is_empty();
    service.resume(is_taken_over)?;
    let devices = match is_taken_over {
        true => inherited.objects.drain(..).map(Device::from_fd).collect(),
        false => service.mount(options.threads)?,
    };
    if !is_taken_over {
        let fds: Vec<_> = devices.iter().map(std::os::fd::AsFd::as_fd).collect();
        keep.keep(OBJECTS, &fds).map_err(at_path("keep", service.run.objects()))?;
    }
    let session = Session::new(devices, &fetcher, ended, options.fuse)?;
    thread::scope(|scope| {
        fetcher.start(scope);
        session.start(scope);
        scope.spawn(|| server::listen(scope, &service, &control, options.metrics.as_ref()));
        if let Some(room) = &options.room {
            scope.spawn(|| service.watch_room(room));
        }
        let served = service.supervise(&session, is_taken_over, keep, options, stop);
        service.stop();
        session.stop();
        fetcher.stop();
        let ended = service.ended();
        // After a failure the next one goes on with what is kept.
        if served.is_ok() && ended == Ended::Asked {
            // What still uses it gets errors from now on.
            let _ = rustix::mount::unmount(service.run.objects(), UnmountFlags::DETACH);
            service.nodes.clear()?;
        }
        served.map(|()| ended)
    })
}

/// What verbs ask.
#[derive(Debug)]
pub(super) struct Service<'f, 's> {
    store: &'s Store,
    fetcher: &'f Fetcher<'s>,
    run: RunDirectory,
    nodes: Nodes,
    attachments: Attachments,
    served: Mutex<BTreeMap<BlobDigest, Served>>,
    attaching: Mutex<()>,
    is_stopping: AtomicBool,
    ended: Mutex<Ended>,
    is_detached: AtomicBool,
}

/// An image that is served.
#[derive(Debug, Clone)]
struct Served {
    attachment: Attachment,
    layers: Vec<ServedLayer>,
}

/// A layer of it.
#[derive(Debug, Clone)]
enum ServedLayer {
    /// It was complete when the image was attached.
    Complete(TocDigest, LayerState),
    Lazy(Arc<Layer>),
}

impl<'f, 's> Service<'f, 's> {
    fn new(store: &'s Store, fetcher: &'f Fetcher<'s>, run: RunDirectory) -> Self {
        let (nodes, attachments) = (Nodes::of(run.path()), Attachments::of(store.path()));
        let (is_stopping, is_detached) = (AtomicBool::new(false), AtomicBool::new(false));
        let (served, attaching) = (Mutex::default(), Mutex::default());
        let ended = Mutex::new(Ended::Asked);
        Self { store, fetcher, run, nodes, attachments, served, attaching, is_stopping, ended, is_detached }
    }

    /// Attaches what was attached before. The tables that the kernel knows get the numbers it knows them by.
    fn resume(&self, is_taken_over: bool) -> Result<(), Error> {
        match is_taken_over {
            false => self.nodes.clear()?,
            true => {
                for toc_digest in self.nodes.list()? {
                    let record = self.store.layers().get(&toc_digest)?;
                    let record = record.ok_or_else(|| no_layer(&toc_digest))?;
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

    /// Mounts the directory of contents anew.
    fn mount(&self, threads: usize) -> Result<Devices, Error> {
        let objects = self.run.objects();
        // What an earlier daemon left answers nothing any more.
        while rustix::mount::unmount(&objects, UnmountFlags::DETACH).is_ok() {}
        fs::create_dir_all(&objects).map_err(at_path("create", &objects))?;
        let device = Device::open()?;
        fuse::mount(&device, &objects)?;
        let others: Vec<_> = (1..threads.clamp(1, 16)).map(|_| device.another()).collect::<Result<_, _>>()?;
        Ok([device].into_iter().chain(others).collect())
    }

    fn table(&self, record: &LayerRecord) -> Result<contents::Table, Error> {
        contents::build(self.store, record, &contents::directory_of(self.store))
    }

    /// Stays until everything is to end.
    fn supervise(
        &self,
        session: &Session<'_, '_>,
        is_taken_over: bool,
        keep: &Keep,
        options: &Options,
        stop: &AtomicBool,
    ) -> Result<(), Error> {
        if is_taken_over {
            session.take_over()?;
        }
        let told = |told: std::io::Result<()>| told.map_err(at_path("tell of", self.run.path()));
        told(keep.ready())?;
        let mut last = Instant::now();
        while !self.is_stopping() && !stop.load(Ordering::Acquire) && !session.is_over() {
            thread::sleep(TICK);
            if let Some(interval) = options.watchdog.filter(|interval| last.elapsed() >= *interval) {
                last = last.checked_add(interval).unwrap_or(last);
                told(keep.alive())?;
            }
        }
        // The next daemon goes on with what is kept.
        if self.ended() == Ended::Asked { told(keep.stopping()) } else { Ok(()) }
    }

    pub(super) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
    }

    /// Ends, unless it ends already.
    fn end(&self, why: Ended) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_stopping.swap(true, Ordering::AcqRel) {
            *ended = why;
        }
    }

    fn ended(&self) -> Ended {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends when content takes more room than it may, and some of it can go.
    fn watch_room(&self, room: &Room) {
        let mut watch = Watch::new(room.len, Instant::now());
        while !self.is_stopping() {
            thread::sleep(TICK);
            let start = Instant::now();
            if self.is_detached.swap(false, Ordering::AcqRel) {
                watch.detached(start);
            }
            let fetched_len = self.fetcher.counters().counts().fetched_len();
            if !watch.is_due(start, fetched_len) {
                continue;
            }
            // What cannot be told now is looked for again.
            if room.can_be_made(self.store).unwrap_or(false) {
                self.end(Ended::NoRoom);
            }
            watch.looked(start, Instant::now(), fetched_len);
        }
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
            let record = self.store.layers().get(toc_digest)?.ok_or_else(|| no_layer(toc_digest))?;
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

impl Served {
    fn lazy(&self) -> impl Iterator<Item = &Arc<Layer>> {
        self.layers.iter().filter_map(|layer| match layer {
            ServedLayer::Lazy(layer) => Some(layer),
            ServedLayer::Complete(..) => None,
        })
    }

    /// Says how it is, but for how much is here.
    fn status(&self) -> ImageStatus {
        let layers = self.layers.iter().map(|layer| match layer {
            ServedLayer::Lazy(layer) => {
                LayerStatus { toc_digest: layer.record().toc_digest, verdict: layer.verdict() }
            }
            ServedLayer::Complete(toc_digest, state) => {
                LayerStatus { toc_digest: *toc_digest, verdict: Verdict::Done(*state) }
            }
        });
        ImageStatus {
            name: self.attachment.name.clone(),
            manifest: self.attachment.manifest,
            progress: Progress::default(),
            layers: layers.collect(),
        }
    }

    fn full_status(&self, fetcher: &Fetcher<'_>) -> Result<ImageStatus, Error> {
        let mut status = self.status();
        for layer in self.lazy() {
            status.progress.add(&fetcher.progress(layer).map_err(said)?);
        }
        Ok(status)
    }
}

fn said(failure: Failure) -> Error {
    Error::Daemon { why: failure.to_string() }
}

fn no_layer(toc_digest: &TocDigest) -> Error {
    let missing = store::Error::NoLayer { image: String::new(), toc_digest: Box::new(*toc_digest) };
    Error::Store(missing)
}

fn not_served(manifest: &BlobDigest) -> Error {
    Error::Daemon { why: format!("it does not serve an image with the manifest {manifest}") }
}
