//! `morsel serve` in the background.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::process::Daemon;

use crate::harness::morsel;

/// A registry on a free port of the loopback interface, killed when this is dropped.
pub(crate) struct Served {
    _daemon: Daemon,
    host: String,
    log: PathBuf,
}

impl Served {
    /// Serves `dir` with further options. What it writes goes beside the directory.
    pub(crate) fn start(dir: &Path, options: &[&str]) -> Self {
        Self::start_as(morsel(), dir, options)
    }

    /// Serves `dir` by a process that may have so many files open.
    pub(crate) fn start_limited(files: u32, dir: &Path) -> Self {
        let mut sh = Command::new("sh");
        sh.arg("-c").arg(format!("ulimit -n {files}; exec \"$0\" \"$@\"")).arg(morsel().get_program());
        Self::start_as(sh, dir, &[])
    }

    fn start_as(mut command: Command, dir: &Path, options: &[&str]) -> Self {
        let (out, log) = (dir.with_extension("out"), dir.with_extension("log"));
        let create = |path: &Path| File::create(path).unwrap();
        command.arg("serve").arg(dir).args(["--listen", "127.0.0.1:0", "--log"]).args(options);
        let mut daemon = Daemon::start(command.stdout(create(&out)).stderr(create(&log)));
        let host = daemon.wait_for("line saying where it listens", || {
            let text = fs::read_to_string(&out).ok()?;
            Some(text.strip_suffix('\n')?.split_once("://")?.1.to_owned())
        });
        Self { _daemon: daemon, host, log }
    }

    /// Returns `address:port`, the first part of an image's name.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.host.parse().unwrap()
    }

    /// Returns what it wrote for each request so far. That of the last one may be missing.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}
