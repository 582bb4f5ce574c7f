//! The journal of systemd, by its native protocol: <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// How serious a line is, as syslog(3) counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Priority {
    Warning = 4,
    Info = 6,
}

/// Sends a line. There may be no journal, which is an error like any other.
pub(crate) fn send(priority: Priority, line: &str) -> io::Result<()> {
    send_to(Path::new(SOCKET), priority, line)
}

fn send_to(socket: &Path, priority: Priority, line: &str) -> io::Result<()> {
    // A line end would end the field.
    let line = line.replace('\n', " ");
    let datagram = format!("MESSAGE={line}\nPRIORITY={}\nSYSLOG_IDENTIFIER=morsel\n", priority as u8);
    let sender = UnixDatagram::unbound()?;
    // Whoever waits for a journal that is stuck makes engines wait.
    sender.set_nonblocking(true)?;
    sender.send_to(datagram.as_bytes(), socket).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_datagram() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("socket");
        assert!(send_to(&socket, Priority::Info, "nobody").is_err());
        let journal = UnixDatagram::bind(&socket).unwrap();
        send_to(&socket, Priority::Warning, "it\nfails").unwrap();
        let mut datagram = [0; 100];
        let len = journal.recv(&mut datagram).unwrap();
        assert_eq!(&datagram[..len], b"MESSAGE=it fails\nPRIORITY=4\nSYSLOG_IDENTIFIER=morsel\n");
    }
}
