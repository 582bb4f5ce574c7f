//! Somebody who keeps descriptors while the daemon is replaced: systemd's descriptor store, or our own [keeper](super::keeper).
//!
//! Source: sd_notify(3), sd_listen_fds(3). A message to systemd is one datagram of lines, with the descriptors beside it.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// Name of the socket for verbs, in a systemd unit too.
pub const CONTROL: &str = "control";
/// Name of the ways to the kernel.
pub const OBJECTS: &str = "objects";
/// What a keeper says when it has said everything.
pub(super) const START: &str = "start";
/// What a daemon says to its keeper when verbs are answered.
pub(super) const READY: &str = "ready";
/// Name of what says that there is a daemon.
pub const LOCK: &str = "lock";
/// Most descriptors in a message; the kernel takes 253.
const FDS_MAX: usize = 16;

/// What a daemon was started with.
#[derive(Debug, Default)]
pub struct Inherited {
    /// Where verbs connect.
    pub control: Option<UnixListener>,
    /// The ways to the kernel that an earlier daemon had.
    pub objects: Vec<OwnedFd>,
    /// What says that there is a daemon, while it is open.
    pub lock: Option<OwnedFd>,
}

/// Who keeps descriptors.
#[derive(Debug)]
pub enum Keep {
    /// Nobody: what is mounted fails when the daemon ends.
    Nobody,
    /// systemd.
    Systemd(UnixDatagram),
    /// Our own keeper.
    Keeper(OwnedFd),
}

impl Inherited {
    /// Takes what systemd passes: descriptors from 3 on, named by `names`, which are separated by colons.
    pub fn of_systemd(count: usize, names: &str) -> Self {
        let names = names.split(':').chain(std::iter::repeat(CONTROL));
        super::sys::inherited(count.min(FDS_MAX)).into_iter().zip(names).fold(
            Self::default(),
            |mut inherited, (fd, name)| {
                inherited.add(name, fd);
                inherited
            },
        )
    }

    fn add(&mut self, name: &str, fd: OwnedFd) {
        match name {
            OBJECTS => self.objects.push(fd),
            LOCK => self.lock = Some(fd),
            _ => self.control = Some(UnixListener::from(fd)),
        }
    }

    /// Takes what the keeper sends first.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn of_keeper(keeper: BorrowedFd<'_>) -> io::Result<Self> {
        let mut inherited = Self::default();
        loop {
            match receive(keeper)? {
                Some(Message { text, fds }) if text != START => {
                    fds.into_iter().for_each(|fd| inherited.add(&text, fd));
                }
                _ => return Ok(inherited),
            }
        }
    }
}

impl Keep {
    /// Connects to the socket that systemd names in `NOTIFY_SOCKET`.
    ///
    /// # Errors
    /// Those of the system.
    pub fn systemd(socket: &str) -> io::Result<Self> {
        use std::os::linux::net::SocketAddrExt;
        let notify = UnixDatagram::unbound()?;
        match socket.strip_prefix('@') {
            Some(name) => {
                notify.connect_addr(&std::os::unix::net::SocketAddr::from_abstract_name(name)?)?;
            }
            None => notify.connect(socket)?,
        }
        Ok(Self::Systemd(notify))
    }

    /// Has descriptors kept for the next daemon.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn keep(&self, name: &str, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        match self {
            Self::Nobody => Ok(()),
            Self::Systemd(notify) => {
                send(notify.as_fd(), &format!("FDSTORE=1\nFDNAME={name}\nFDPOLL=0\n"), fds)
            }
            Self::Keeper(keeper) => send(keeper.as_fd(), name, fds),
        }
    }

    /// Says that verbs are answered from now on.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn ready(&self) -> io::Result<()> {
        match self {
            Self::Nobody => Ok(()),
            Self::Systemd(notify) => send(notify.as_fd(), "READY=1\n", &[]),
            Self::Keeper(keeper) => send(keeper.as_fd(), READY, &[]),
        }
    }

    /// Says that the daemon is well.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn alive(&self) -> io::Result<()> {
        match self {
            Self::Systemd(notify) => send(notify.as_fd(), "WATCHDOG=1\n", &[]),
            Self::Nobody | Self::Keeper(_) => Ok(()),
        }
    }

    /// Says that the daemon ends, and nothing needs to be kept.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn stopping(&self) -> io::Result<()> {
        match self {
            Self::Systemd(notify) => {
                send(notify.as_fd(), &format!("STOPPING=1\nFDSTOREREMOVE=1\nFDNAME={OBJECTS}\n"), &[])
            }
            Self::Nobody | Self::Keeper(_) => Ok(()),
        }
    }
}

/// A message with descriptors.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) text: String,
    pub(super) fds: Vec<OwnedFd>,
}

/// Sends a message. To a keeper it is at most 255 bytes long.
pub(super) fn send(socket: BorrowedFd<'_>, text: &str, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    sendmsg(socket, &[IoSlice::new(text.as_bytes())], &mut beside, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Waits for a message; `None` when the other side is gone.
pub(super) fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<Message>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let mut text = [0; 256];
    let received = rustix::io::retry_on_intr(|| {
        recvmsg(socket, &mut [IoSliceMut::new(&mut text)], &mut beside, RecvFlags::CMSG_CLOEXEC)
    })?;
    let mut fds = Vec::new();
    for message in beside.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    if received.bytes == 0 {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(text.get(..received.bytes).unwrap_or_default()).into_owned();
    Ok(Some(Message { text, fds }))
}

/// How often a daemon says that it is well: thrice in the time that systemd allows, so that one may be late.
pub fn watchdog_interval(microseconds: u64) -> Duration {
    Duration::from_micros(microseconds / 3)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn systemd_is_told_as_it_wants_to_be() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let systemd = UnixDatagram::bind(&path).unwrap();
        let keep = Keep::systemd(path.to_str().unwrap()).unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        keep.keep(OBJECTS, &[writer.as_fd()]).unwrap();
        drop(writer);
        let Message { text, fds } = receive(systemd.as_fd()).unwrap().unwrap();
        assert_eq!((text.as_str(), fds.len()), ("FDSTORE=1\nFDNAME=objects\nFDPOLL=0\n", 1));
        drop(fds);
        assert_eq!(reader.read(&mut [0]).unwrap(), 0, "what was passed was the pipe");
        for (told, expected) in [
            (keep.ready(), "READY=1\n"),
            (keep.alive(), "WATCHDOG=1\n"),
            (keep.stopping(), "STOPPING=1\nFDSTOREREMOVE=1\nFDNAME=objects\n"),
        ] {
            told.unwrap();
            assert_eq!(receive(systemd.as_fd()).unwrap().unwrap().text, expected);
        }
    }

    #[test]
    fn a_daemon_gets_what_its_keeper_keeps() {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
        let (keeper, daemon) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let control = UnixListener::bind(dir.path().join("control")).unwrap();
        let (one, other) = io::pipe().unwrap();
        send(keeper.as_fd(), CONTROL, &[control.as_fd()]).unwrap();
        send(keeper.as_fd(), OBJECTS, &[one.as_fd(), other.as_fd()]).unwrap();
        send(keeper.as_fd(), START, &[]).unwrap();
        let inherited = Inherited::of_keeper(daemon.as_fd()).unwrap();
        assert_eq!((inherited.objects.len(), inherited.control.is_some()), (2, true));
        Keep::Keeper(daemon).ready().unwrap();
        assert_eq!(receive(keeper.as_fd()).unwrap().unwrap().text, READY);
        assert!(receive(keeper.as_fd()).unwrap().is_none(), "the daemon is gone");
    }
}
