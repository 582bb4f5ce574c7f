//! containerd, with a daemon of its own for each store.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::Context;

use super::background::Background;
use super::morsel::{is_ready, success};
use super::peer::{about, find, pulled};
use super::{About, Contender, Pulled, Target, Watch, through};
use crate::commands::bench::measure::{self, tree_cpu, tree_peak};

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
        let mut command = Command::new(&self.containerd);
        command.arg("--config").arg(&config);
        let ask = || ask(&self.ctr, &socket).arg("version").output();
        let answers = || ask().is_ok_and(|output| output.status.success());
        let process = Background::start("containerd", &mut command, &place.join("log"), answers)?;
        Ok(Daemon { process, ctr: &self.ctr, socket })
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
        let unfair = "it keeps the compressed blobs, too; its daemon runs before the clock starts";
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
        let pid = daemon.process.pid();
        let before = tree_cpu(pid);
        watch.start();
        let pulled = pulled(measure::run(&mut daemon.pull(image), || watch.look()))?;
        let started = Instant::now();
        let is_ready = daemon.is_ready(&daemon.process, ("overlayfs", &image.name), (image, place))?;
        Ok(Pulled {
            ready: is_ready.then(|| pulled.wall + started.elapsed()),
            cpu: pulled.cpu + tree_cpu(pid).saturating_sub(before),
            peak_memory: pulled.peak_memory.max(tree_peak(pid)),
            ..pulled
        })
    }
}

/// Starts a command line that asks the daemon at a socket.
fn ask(ctr: &Path, socket: &Path) -> Command {
    let mut command = Command::new(ctr);
    command.arg("--address").arg(socket);
    command
}

/// A running containerd.
#[derive(Debug)]
pub(super) struct Daemon<'a> {
    pub(super) process: Background,
    ctr: &'a Path,
    socket: PathBuf,
}

impl Daemon<'_> {
    /// Returns where it listens.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Starts a command line that asks it.
    pub(super) fn ctr(&self) -> Command {
        ask(self.ctr, &self.socket)
    }

    /// Mounts an image, by what makes file systems of its layers and its name, where a process sees these, and makes it ready.
    pub(super) fn is_ready(
        &self,
        process: &Background,
        (snapshotter, name): (&str, &str),
        (image, place): (&Target, &Path),
    ) -> anyhow::Result<bool> {
        // A directory that was mounted on before would get what it had then.
        let mount = place.join(format!("mount-{}", process.pid()));
        fs::create_dir_all(&mount).with_context(|| format!("cannot make `{}`", mount.display()))?;
        let mut command = process.enter("ctr")?;
        command.arg("--address").arg(&self.socket).args(["images", "mount", "--snapshotter", snapshotter]);
        command.args(image.platform.iter().flat_map(|platform| ["--platform", platform]));
        success(measure::run(command.arg(name).arg(&mount), || {})?)?;
        is_ready(&process.seen(&mount), &image.ready)
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
