//! The directory of a store for what is only of use while a daemon runs.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};

use crate::error::{Error, at_path};

const SOCKET: &str = "daemon.sock";
const LOCK: &str = "lock";

/// `run/` below a store; only its owner can enter it.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    fd: OwnedFd,
}

impl RunDirectory {
    /// Opens the directory of the store at `store`, making it if it is missing.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open(store: &Path) -> Result<Self, Error> {
        let path = Self::path_in(store);
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(at_path("create", &path))?;
        let path = fs::canonicalize(&path).map_err(at_path("find", &path))?;
        let fd = rustix::fs::open(&path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(at_path("open", &path))?;
        Ok(Self { path, fd })
    }

    /// Returns where it is in the store at `store`.
    pub(super) fn path_in(store: &Path) -> PathBuf {
        store.join("run")
    }

    /// Returns its absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns where the directory of contents is mounted.
    pub fn objects(&self) -> PathBuf {
        self.path.join("objects")
    }

    /// Takes the right to run a daemon; `None` while another process has it.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn try_lock(&self) -> Result<Option<File>, Error> {
        let path = self.path.join(LOCK);
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(at_path("open", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(at_path("lock", &path)(error)),
        }
    }

    /// Starts to listen for verbs, in place of a daemon that is gone.
    ///
    /// # Errors
    /// Those of the system.
    pub fn listen(&self) -> Result<UnixListener, Error> {
        let path = self.path.join(SOCKET);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(at_path("remove", &path)(error));
            }
            _ => {}
        }
        UnixListener::bind(self.short(SOCKET)).map_err(at_path("listen on", &path))
    }

    /// Connects to the daemon.
    ///
    /// # Errors
    /// Those of the system: `NotFound` and `ConnectionRefused` when there is none.
    pub fn connect(&self) -> io::Result<UnixStream> {
        UnixStream::connect(self.short(SOCKET))
    }

    /// Returns a path that is short enough for the address of a socket, which has at most 107 bytes.
    fn short(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.fd.as_raw_fd()))
    }
}
