//! Waiting for sockets.

use std::io::{self, PipeReader, Read};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::{Errno, retry_on_intr};

use crate::line::{Interest, Line, Lines};

/// How long before its time the thread is awake, and looks again and again: one that sleeps to the end wakes about this much
/// too late, which would be a tenth of a short round trip.
const AWAKE: Duration = Duration::from_micros(100);

/// What became ready beside the connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ready {
    pub(crate) accept: bool,
}

/// Waits until an end is ready, somebody connects (if that is of interest), another thread wakes this one, or it is nearly
/// time.
pub(crate) fn wait(
    lines: &mut Lines<TcpStream>,
    listener: Option<&TcpListener>,
    woken: &mut PipeReader,
    until: Option<Instant>,
) -> io::Result<Ready> {
    let mut ready = vec![[Interest::default(); 2]; lines.count()];
    let (accept, wake) = {
        // An end that nothing is wanted of is left out: its failure would end every wait at once.
        let mut fds: Vec<_> =
            lines.iter().flat_map(of_line).map(|(end, wanted)| PollFd::new(end, flags(wanted))).collect();
        let own = fds.len();
        fds.push(PollFd::new(woken, PollFlags::IN));
        fds.extend(listener.map(|listener| PollFd::new(listener, PollFlags::IN)));
        retry_on_intr(|| poll(&mut fds, until))?;
        let wanted =
            lines.iter().zip(&mut ready).flat_map(|(line, ready)| line.interests().into_iter().zip(ready));
        for ((_, ready), fd) in wanted.filter(|(wanted, _)| wanted.is_any()).zip(&fds) {
            *ready = of_events(fd.revents());
        }
        let is_ready = |place: usize| fds.get(place).is_some_and(|fd| !fd.revents().is_empty());
        (is_ready(own.saturating_add(1)), is_ready(own))
    };
    for (line, ready) in lines.iter_mut().zip(ready) {
        line.ready(ready);
    }
    if wake {
        // However often it was woken, once is enough.
        let _ = woken.read(&mut [0; 64])?;
    }
    Ok(Ready { accept })
}

fn poll(fds: &mut [PollFd<'_>], until: Option<Instant>) -> Result<usize, Errno> {
    // What does not fit is far more than a day away.
    let day = Duration::from_secs(86_400);
    let timeout =
        until.map(|until| until.saturating_duration_since(Instant::now()).saturating_sub(AWAKE).min(day));
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    rustix::event::poll(fds, timeout.as_ref())
}

/// Lists the ends of a connection that something is wanted of.
fn of_line(line: &Line<TcpStream>) -> impl Iterator<Item = (&TcpStream, Interest)> {
    line.ends().into_iter().zip(line.interests()).filter(|(_, wanted)| wanted.is_any())
}

fn flags(interest: Interest) -> PollFlags {
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::IN, interest.read);
    flags.set(PollFlags::OUT, interest.write);
    flags
}

/// Reading and writing tell what is wrong with an end.
fn of_events(events: PollFlags) -> Interest {
    let is_broken = events.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL);
    Interest {
        read: is_broken || events.contains(PollFlags::IN),
        write: is_broken || events.contains(PollFlags::OUT),
    }
}
