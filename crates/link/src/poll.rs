//! Waiting for sockets.

use std::io::{self, PipeReader, Read};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::retry_on_intr;

use crate::line::{Interest, Lines};

/// How long before its time the thread is awake, and looks again and again: one that sleeps to the end wakes about this much
/// too late, which would be a tenth of a short round trip.
const AWAKE: Duration = Duration::from_micros(100);
/// What events say that are not of a connection. Those of its ends say twice its number, and one more for the server's.
const LISTENER: u64 = u64::MAX;
const WOKEN: u64 = u64::MAX - 1;
const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
/// Events that are taken at once.
const EVENTS: usize = 64;

/// What became ready beside the connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ready {
    pub(crate) accept: bool,
}

/// Knows the sockets of all connections, so that waiting takes no longer when there are many.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
    listener: TcpListener,
    is_listening: bool,
    woken: PipeReader,
}

impl Poller {
    /// Waits for clients, and for another thread that wakes this one.
    pub(crate) fn new(listener: TcpListener, woken: PipeReader) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        epoll::add(&epoll, &woken, EventData::new_u64(WOKEN), EventFlags::IN)?;
        Ok(Self { epoll, listener, is_listening: true, woken })
    }

    pub(crate) fn listener(&self) -> &TcpListener {
        &self.listener
    }

    /// Adds the ends of the connection with a number. They are forgotten when they are closed.
    pub(crate) fn add(&self, number: u64, client: &TcpStream, server: &TcpStream) -> io::Result<()> {
        for (end, data) in [client, server].into_iter().zip(number.saturating_mul(2)..) {
            epoll::add(&self.epoll, end, EventData::new_u64(data), EventFlags::ONESHOT)?;
        }
        Ok(())
    }

    /// Waits until an end is ready, somebody connects (if that is of interest), another thread wakes this one, or it is nearly
    /// time.
    pub(crate) fn wait(
        &mut self,
        lines: &mut Lines<TcpStream>,
        listens: bool,
        until: Option<Instant>,
    ) -> io::Result<Ready> {
        self.arm(lines)?;
        self.listen(listens)?;
        let timeout = until.and_then(timeout);
        if timeout != Some(NOW) {
            // Waiting for the events themselves takes whole milliseconds.
            retry_on_intr(|| poll(&mut [PollFd::new(&self.epoll, PollFlags::IN)], timeout.as_ref()))?;
        }
        let mut events = Vec::with_capacity(EVENTS);
        retry_on_intr(|| epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&NOW)))?;
        let mut ready = Ready { accept: false };
        for Event { data, flags } in events {
            match data.u64() {
                LISTENER => ready.accept = true,
                // However often it was woken, once is enough.
                WOKEN => _ = self.woken.read(&mut [0; 64])?,
                end => lines.ready(end / 2, usize::from(end % 2 == 1), of_flags(flags)),
            }
        }
        Ok(ready)
    }

    /// Asks for what is wanted of ends. Each is asked once: the failure of an end that nothing is wanted of would otherwise end
    /// every wait at once.
    fn arm(&self, lines: &mut Lines<TcpStream>) -> io::Result<()> {
        for line in lines.iter_mut() {
            for (place, wanted) in line.unasked() {
                let data = EventData::new_u64(line.number().saturating_mul(2).saturating_add(place as u64));
                if let Some(end) = line.ends().get(place) {
                    epoll::modify(&self.epoll, end, data, flags(wanted) | EventFlags::ONESHOT)?;
                }
                line.asked(place, wanted);
            }
        }
        Ok(())
    }

    fn listen(&mut self, is_wanted: bool) -> io::Result<()> {
        if is_wanted != self.is_listening {
            let flags = if is_wanted { EventFlags::IN } else { EventFlags::empty() };
            epoll::modify(&self.epoll, &self.listener, EventData::new_u64(LISTENER), flags)?;
            self.is_listening = is_wanted;
        }
        Ok(())
    }
}

/// Says how long to sleep.
fn timeout(until: Instant) -> Option<Timespec> {
    // What does not fit is far more than a day away.
    let day = Duration::from_secs(86_400);
    let timeout = until.saturating_duration_since(Instant::now()).saturating_sub(AWAKE).min(day);
    Timespec::try_from(timeout).ok()
}

fn flags(interest: Interest) -> EventFlags {
    let mut flags = EventFlags::empty();
    flags.set(EventFlags::IN, interest.read);
    flags.set(EventFlags::OUT, interest.write);
    flags
}

/// Reading and writing tell what is wrong with an end.
fn of_flags(flags: EventFlags) -> Interest {
    let is_broken = flags.intersects(EventFlags::ERR | EventFlags::HUP);
    Interest {
        read: is_broken || flags.contains(EventFlags::IN),
        write: is_broken || flags.contains(EventFlags::OUT),
    }
}
