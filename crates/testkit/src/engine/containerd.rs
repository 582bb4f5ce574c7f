//! containerd of this machine.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Daemon, run};
use crate::tools::{self, Tier};

/// A containerd in a mount namespace of its own, gone when this is dropped.
#[derive(Debug)]
pub struct Containerd {
    _daemon: Daemon,
    socket: PathBuf,
}

impl Containerd {
    /// Starts containerd with everything below `dir`; without it the test is skipped.
    ///
    /// # Panics
    ///
    /// When it does not answer within half a minute.
    pub fn start(dir: &Path) -> Option<Self> {
        if !tools::is_root(Tier::Engine) {
            return None;
        }
        tools::host(Tier::Engine, "ctr")?;
        let containerd = tools::host(Tier::Engine, "containerd")?;
        let dir = dir.join("containerd");
        fs::create_dir_all(&dir).expect("a directory can be made");
        let (config, socket) = (dir.join("config.toml"), dir.join("socket"));
        fs::write(&config, configuration(&dir, &socket)).expect("the configuration can be written");

        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child"]).arg(containerd.get_program());
        command.arg("--config").arg(&config);
        command.stderr(File::create(dir.join("log")).expect("the log can be created"));
        let mut daemon = Daemon::start(&mut command);
        daemon.wait_for("answer of containerd", || {
            ctr(&socket).arg("version").output().ok()?.status.success().then_some(())
        });
        Some(Self { _daemon: daemon, socket })
    }

    /// Starts a `ctr` command line.
    pub fn ctr(&self) -> Command {
        ctr(&self.socket)
    }

    /// Lists the names of the committed snapshots: the chain IDs of everything that was unpacked.
    pub fn chain_ids(&self) -> Vec<String> {
        let list = run(self.ctr().args(["snapshots", "ls"]));
        let committed = list.text().lines().filter(|line| line.trim_end().ends_with("Committed"));
        committed.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
    }
}

fn ctr(socket: &Path) -> Command {
    let mut command = Command::new("ctr");
    command.arg("--address").arg(socket);
    command
}

fn configuration(dir: &Path, socket: &Path) -> String {
    let (dir, socket) = (dir.display(), socket.display());
    format!(
        "version = 2\nroot = \"{dir}/root\"\nstate = \"{dir}/state\"\n\
         disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
         [grpc]\naddress = \"{socket}\"\n[ttrpc]\naddress = \"{socket}.ttrpc\"\n"
    )
}
