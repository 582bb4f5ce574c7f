//! Keeps the descriptors of a daemon and starts the next one when it dies, where systemd does not.
//!
//! It is a process of its own that does next to nothing, so that nothing befalls it. The daemon is its child, and the two
//! speak over a socket pair: the keeper sends what it keeps, then `start`; the daemon sends what is to be kept, and `ready`.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::RunDirectory;
use super::keep::{CONTROL, LOCK, Message, OBJECTS, READY, START, receive, send};
use crate::error::{Error, at_path};

/// The first wait before a daemon is started again that did not become ready; doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// Daemons in a row that do not become ready before the keeper gives up, which is after 25 seconds. Then readers get errors
/// rather than wait for ever.
const FAILURES_MAX: u32 = 9;

/// Runs daemons, one after another, until one ends well.
///
/// `start` starts a daemon whose standard input is the socket it is given. The process ID of the daemon is put into `pid`.
///
/// # Errors
/// [`Error::DaemonRuns`] when there is one; [`Error::Daemon`] when several in a row did not become ready; those of the system.
pub fn run(
    store: &Path,
    start: &dyn Fn(OwnedFd) -> std::io::Result<Child>,
    pid: &AtomicU32,
) -> Result<(), Error> {
    let run = RunDirectory::open(store)?;
    let lock = run.try_lock()?.ok_or_else(|| Error::DaemonRuns { store: store.to_owned() })?;
    let control = run.listen()?;
    let (mut objects, mut failures): (Vec<OwnedFd>, u32) = (Vec::new(), 0);
    loop {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(at_path("start a daemon for", store))?;
        let mut daemon = start(theirs).map_err(at_path("start a daemon for", store))?;
        pid.store(daemon.id(), Ordering::Release);
        let greeted = [
            send(ours.as_fd(), LOCK, &[lock.as_fd()]),
            send(ours.as_fd(), CONTROL, &[control.as_fd()]),
            objects.chunks(16).try_for_each(|some| {
                send(ours.as_fd(), OBJECTS, &some.iter().map(AsFd::as_fd).collect::<Vec<_>>())
            }),
            send(ours.as_fd(), START, &[]),
        ];
        let mut was_ready = false;
        // One that is dead already is noticed below.
        if greeted.iter().all(Result::is_ok) {
            while let Ok(Some(Message { text, fds })) = receive(ours.as_fd()) {
                match text.as_str() {
                    OBJECTS => objects = fds,
                    READY => was_ready = true,
                    _ => {}
                }
            }
        }
        let status = daemon.wait().map_err(at_path("start a daemon for", store))?;
        pid.store(0, Ordering::Release);
        if status.success() {
            return Ok(());
        }
        failures = if was_ready { 0 } else { failures.saturating_add(1) };
        if failures > FAILURES_MAX {
            return Err(Error::Daemon { why: format!("it does not start: {status}") });
        }
        if failures > 0 {
            thread::sleep(FIRST_WAIT.saturating_mul(1 << (failures - 1)));
        }
    }
}
