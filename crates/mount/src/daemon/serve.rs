//! A daemon from its start to its end.

use std::fs;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::mount::UnmountFlags;
use store::Store;

use super::keep::{Inherited, Keep, OBJECTS};
use super::room::{Room, Watch};
use super::service::Service;
use super::{RunDirectory, server};
use crate::error::{Error, at_path};
use crate::fetch::{self, Events, Fetcher, Supply};
use crate::fuse::{self, Device, Devices, Session};

/// Between two looks whether everything ends.
pub(super) const TICK: Duration = Duration::from_millis(100);

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

impl Service<'_, '_> {
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
}
