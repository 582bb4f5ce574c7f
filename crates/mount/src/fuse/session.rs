//! Answers the kernel.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::Scope;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use rustix::io::Errno;

use super::device::{BUFFER_LEN, Device, READ_LEN_MAX};
use super::node::{Place, content_named, fan_named};
use super::parked::{Parked, Read};
use super::wire::{self, Kind, Operation, Request};
use crate::contents::Node;
use crate::error::{Error, at_path};
use crate::fetch::{Ended, Failure, Fetcher, Found};

/// Reads that the kernel may send ahead of need, at once.
const BACKGROUND: u16 = 256;
/// How often a read is tried again when what it waited for came, and something else is missing then.
const ROUNDS_MAX: u32 = 8;
/// Between two looks for reads that have waited too long.
const TICK: Duration = Duration::from_millis(200);

/// The ways to one connection: a thread reads from each.
pub type Devices = Vec<Device>;

/// How the kernel is answered.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How long a read waits for content until it fails.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { patience: Duration::from_secs(60) }
    }
}

/// The directory of contents, as the kernel sees it.
#[derive(Debug)]
pub struct Session<'f, 's> {
    devices: Devices,
    fetcher: &'f Fetcher<'s>,
    ended: Receiver<Ended>,
    options: Options,
    parked: Parked,
    is_over: AtomicBool,
    stop: (PipeReader, Mutex<Option<PipeWriter>>),
}

impl<'f, 's> Session<'f, 's> {
    /// Gets ready to answer what comes by `devices`. What the fetcher says of tickets comes by `ended`.
    ///
    /// # Errors
    /// Those of the system.
    pub fn new(
        devices: Devices,
        fetcher: &'f Fetcher<'s>,
        ended: Receiver<Ended>,
        options: Options,
    ) -> Result<Self, Error> {
        for device in &devices {
            device.set_nonblocking().map_err(at_path("prepare", "/dev/fuse"))?;
        }
        let (stop, stopper) = io::pipe().map_err(at_path("prepare", "/dev/fuse"))?;
        let (parked, is_over) = (Parked::default(), AtomicBool::new(false));
        let stop = (stop, Mutex::new(Some(stopper)));
        Ok(Self { devices, fetcher, ended, options, parked, is_over, stop })
    }

    /// Ends, and leaves what is not answered to whoever takes over.
    pub fn stop(&self) {
        // Nobody writes to the pipe, so its end is what can be read from it.
        self.stop.1.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Asks for the requests that another process took and did not answer, after it is gone.
    ///
    /// Before Linux 6.9 the kernel cannot ask again: who waits for one of those waits on, and everything else goes on.
    ///
    /// # Errors
    /// Those of the system.
    pub fn take_over(&self) -> Result<(), Error> {
        let Some(device) = self.devices.first() else { return Ok(()) };
        match device.ask_again() {
            Err(Errno::INVAL) => Ok(()),
            asked => asked.map_err(at_path("take over", "/dev/fuse")),
        }
    }

    /// Starts to answer, until the file system is unmounted.
    pub fn start<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>)
    where
        'f: 'scope,
        's: 'scope,
    {
        for number in 0..self.devices.len() {
            scope.spawn(move || self.serve(number));
        }
        scope.spawn(|| self.resume_reads());
    }

    /// Tells whether the file system was unmounted.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    fn serve(&self, number: usize) {
        let Some(device) = self.devices.get(number) else { return };
        let mut buffer = vec![0; BUFFER_LEN];
        let mut room = Vec::new();
        while let Ok(Some(bytes)) = device.receive(&mut buffer, self.stop.0.as_fd()) {
            // What cannot be read cannot be answered either: its number is not known.
            if let Ok(request) = Request::parse(bytes) {
                self.fetcher.counters().fuse(&request.operation);
                self.handle(&request, number, device, &mut room);
            }
        }
        self.is_over.store(true, Ordering::Release);
    }

    fn handle(&self, request: &Request<'_>, number: usize, device: &Device, room: &mut Vec<u8>) {
        let Request { unique, node, operation } = *request;
        match operation {
            Operation::Init(init) if init.is_understood() => {
                device.answer(unique, &init.answer(READ_LEN_MAX, BACKGROUND));
            }
            Operation::Init(_) => device.refuse(unique, Errno::PROTO),
            Operation::Lookup(name) => answer(device, unique, self.look_up(node, name)),
            Operation::GetAttributes => answer(device, unique, self.attributes(node)),
            Operation::Read { offset, len } => match Place::of(node) {
                Some(Place::File(file)) => {
                    self.read(Read::new((unique, number), file, offset, len), room);
                }
                _ => device.refuse(unique, Errno::ISDIR),
            },
            // What is in a directory is nobody's business.
            Operation::ReadDirectory => device.answer(unique, &[]),
            Operation::StatFs => device.answer(unique, &wire::stat_fs()),
            Operation::Interrupt { unique } => {
                if let Some((ticket, read)) = self.parked.take_interrupted(unique) {
                    self.fetcher.cancel(ticket);
                    self.refuse(&read, Errno::INTR);
                }
            }
            Operation::Forget => {}
            Operation::Destroy => device.answer(unique, &[]),
            Operation::Open | Operation::Other(_) => device.refuse(unique, Errno::NOSYS),
        }
    }

    fn look_up(&self, node: u64, name: &[u8]) -> Result<Vec<u8>, Errno> {
        match Place::of(node) {
            Some(Place::Root) => {
                let place = Place::Fan(fan_named(name).ok_or(Errno::NOENT)?);
                Ok(wire::entry(place.number(), Kind::Directory))
            }
            Some(Place::Fan(first)) => {
                let digest = content_named(first, name).ok_or(Errno::NOENT)?;
                let tables = self.fetcher.tables();
                let node = tables.find(&digest).map_err(|_| Errno::IO)?.ok_or(Errno::NOENT)?;
                let len = self.len_of(node)?;
                Ok(wire::entry(Place::File(node).number(), Kind::File(len)))
            }
            Some(Place::File(_)) => Err(Errno::NOTDIR),
            None => Err(Errno::STALE),
        }
    }

    fn attributes(&self, node: u64) -> Result<Vec<u8>, Errno> {
        let kind = match Place::of(node).ok_or(Errno::STALE)? {
            Place::Root | Place::Fan(_) => Kind::Directory,
            Place::File(file) => Kind::File(self.len_of(file)?),
        };
        Ok(wire::attributes(node, kind))
    }

    fn len_of(&self, node: Node) -> Result<u64, Errno> {
        let content = self.fetcher.tables().content(node).map_err(|_| Errno::IO)?;
        Ok(content.ok_or(Errno::STALE)?.len)
    }

    /// Answers a read if its content is here; otherwise leaves it until then.
    fn read(&self, read: Read, room: &mut Vec<u8>) {
        let Some(device) = self.devices.get(read.device) else { return };
        room.clear();
        match self.fetcher.read(read.node, read.offset, read.len.min(READ_LEN_MAX), room) {
            Ok(Found::Here) => device.answer(read.unique, room),
            Ok(Found::Missing(_)) if read.rounds >= ROUNDS_MAX => self.refuse(&read, Errno::IO),
            Ok(Found::Missing(missing)) => {
                let ticket = self.parked.park(read.within(self.options.patience));
                self.fetcher.want(missing, ticket);
            }
            Err(failure) => self.put_off(&read, &failure),
        }
    }

    /// Has a read tried again after a while if somebody else fetches what it wants; otherwise it has failed.
    fn put_off(&self, read: &Read, failure: &Failure) {
        match failure {
            Failure::Taken { .. } => self.parked.park_untold(read.within(self.options.patience)),
            _ => self.fail(read, failure),
        }
    }

    /// Goes on with reads whose content came, or will not come.
    fn resume_reads(&self) {
        let (mut room, mut tried) = (Vec::new(), Instant::now());
        while !self.is_over() {
            match self.ended.recv_timeout(TICK) {
                Ok(Ended { ticket, result }) => {
                    let Some(read) = self.parked.take(ticket) else { continue };
                    match result {
                        Ok(()) => {
                            self.read(Read { rounds: read.rounds.saturating_add(1), ..read }, &mut room)
                        }
                        Err(failure) => self.put_off(&read, &failure),
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            for (ticket, read) in self.parked.take_late(Instant::now()) {
                self.fetcher.cancel(ticket);
                self.fail(&read, &Failure::Late);
            }
            if tried.elapsed() >= TICK {
                tried = Instant::now();
                self.parked.take_untold().into_iter().for_each(|read| self.read(read, &mut room));
            }
        }
    }

    fn fail(&self, read: &Read, failure: &Failure) {
        self.fetcher.counters().read_failed();
        self.fetcher.tell_failed(read.node, failure);
        self.refuse(read, Errno::IO);
    }

    fn refuse(&self, read: &Read, errno: Errno) {
        if let Some(device) = self.devices.get(read.device) {
            device.refuse(read.unique, errno);
        }
    }
}

fn answer(device: &Device, unique: u64, result: Result<Vec<u8>, Errno>) {
    match result {
        Ok(body) => device.answer(unique, &body),
        Err(errno) => device.refuse(unique, errno),
    }
}
