//! containerd, with a daemon of its own for each store.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::peer::{about, find, pulled};
use super::{About, Contender, Pulled, Target, Watch, through};
use crate::commands::bench::measure::{self, tree_cpu, tree_peak};

/// How long its daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is asked meanwhile.
const PAUSE: Duration = Duration::from_millis(20);

/// Its programs: `ctr`, and the daemon that does the work.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) ctr: PathBuf,
    pub(super) containerd: PathBuf,
}

impl Programs {
    /// Finds them on PATH.
    pub(super) fn find() -> anyhow::Result<Self> {
        Ok(Self { ctr: find("ctr")?, containerd: find("containerd")? })
    }

    /// Starts a daemon whose store is below `place`. Of the layers another program makes file systems, if the socket of one is
    /// given, which is then known by the name `soci`.
    pub(super) fn start(&self, place: &Path, soci: Option<&Path>) -> anyhow::Result<Daemon<'_>> {
        let (config, socket) = (place.join("config.toml"), place.join("socket"));
        let (dir, address) = (place.display(), socket.display());
        let mut text = format!(
            "version = 2\nroot = \"{dir}/root\"\nstate = \"{dir}/state\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.cri.v1.images\", \"io.containerd.cri.v1.runtime\"]\n\
             [grpc]\naddress = \"{address}\"\n[ttrpc]\naddress = \"{address}.ttrpc\"\n"
        );
        if let Some(soci) = soci {
            text += &format!("[proxy_plugins.soci]\ntype = \"snapshot\"\naddress = \"{}\"\n", soci.display());
        }
        fs::write(&config, text).with_context(|| format!("cannot write `{}`", config.display()))?;
        let log = fs::File::create(place.join("log")).context("cannot write the log of containerd")?;
        let mut command = Command::new(&self.containerd);
        command.arg("--config").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().context("cannot start containerd")?;
        let daemon = Daemon { child, ctr: &self.ctr, socket };
        daemon.wait()?;
        Ok(daemon)
    }
}

/// `ctr` as it comes.
#[derive(Debug)]
pub(super) struct Containerd {
    about: About,
    programs: Programs,
}

impl Containerd {
    pub(super) fn find() -> anyhow::Result<Self> {
        let programs = Programs::find()?;
        let does = "`ctr images pull`: whole layers, unpacked by the overlayfs snapshotter";
        let unfair = "it keeps the compressed blobs, too; its daemon runs before the clock starts; *ready* is the end of the pull, without \
            that its image is mounted or read";
        Ok(Self { about: about("ctr", &programs.ctr, does, unfair), programs })
    }
}

impl Contender for Containerd {
    fn about(&self) -> &About {
        &self.about
    }

    fn prepare(&self, image: &Target, place: &Path) -> anyhow::Result<()> {
        let daemon = self.programs.start(place, None)?;
        pulled(measure::run(&mut daemon.pull(image), || {})).map(drop)
    }

    fn pull(&self, image: &Target, place: &Path, watch: &mut Watch<'_>) -> anyhow::Result<Pulled> {
        let daemon = self.programs.start(place, None)?;
        let pid = daemon.pid();
        let before = tree_cpu(pid);
        watch.start();
        let pulled = pulled(measure::run(&mut daemon.pull(image), || watch.look()))?;
        Ok(Pulled {
            ready: image.ready.after(pulled.wall),
            cpu: pulled.cpu + tree_cpu(pid).saturating_sub(before),
            peak_memory: pulled.peak_memory.max(tree_peak(pid)),
            ..pulled
        })
    }
}

/// A running containerd, killed when this is dropped.
#[derive(Debug)]
pub(super) struct Daemon<'a> {
    child: Child,
    ctr: &'a Path,
    socket: PathBuf,
}

impl Daemon<'_> {
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns where it listens.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Starts a command line that asks it.
    pub(super) fn ctr(&self) -> Command {
        let mut command = Command::new(self.ctr);
        command.arg("--address").arg(&self.socket);
        command
    }

    fn wait(&self) -> anyhow::Result<()> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if self.ctr().arg("version").output().is_ok_and(|output| output.status.success()) {
                return Ok(());
            }
            sleep(PAUSE);
        }
        bail!("containerd does not answer at `{}`", self.socket.display())
    }

    fn pull(&self, image: &Target) -> Command {
        let mut command = self.ctr();
        // Transfers inside the daemon would not be told of the registry's scheme.
        command.args(["images", "pull", "--local"]).args(image.is_ours.then_some("--plain-http"));
        command.args(image.platform.iter().flat_map(|platform| ["--platform", platform]));
        through(&mut command, image).arg(&image.name);
        command
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        // Both fail only when it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
