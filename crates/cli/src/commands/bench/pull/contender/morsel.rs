//! morsel itself, in a process of its own for each pull.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use serde_json::Value;

use super::super::images::Ready;
use super::{About, Contender, Pulled, Receipt, Target, Watch, through};
use crate::args::BenchStrategy;
use crate::commands::bench::measure::{self, Measured, cpu_time};

/// morsel, and how it is to pull.
#[derive(Debug)]
pub(in super::super) struct Morsel {
    about: About,
    strategy: BenchStrategy,
    program: PathBuf,
    /// The options of verbs that speak with registries.
    registry: Vec<OsString>,
    /// Where what is learned of hosts is kept, by link: all pulls over one know them, as on a machine that pulled before.
    cache: PathBuf,
    can_mount: bool,
}

impl Morsel {
    /// Gets ready to pull. Mounting takes root, without which nobody knows when an image is ready.
    pub(in super::super) fn new(
        strategy: BenchStrategy,
        registry: Vec<OsString>,
        cache: PathBuf,
        can_mount: bool,
    ) -> anyhow::Result<Self> {
        let (name, does) = match strategy {
            BenchStrategy::Cheapest => {
                ("cheapest", "what `morsel pull` does: the way that costs least on this link")
            }
            BenchStrategy::Stream => {
                ("stream", "every layer that misses anything in one request, from its first byte to its last")
            }
            BenchStrategy::Parallel => ("parallel", "the same in pieces, side by side"),
            BenchStrategy::OneRange => {
                ("one-range", "only what is missing, one range in a request, requests side by side")
            }
            BenchStrategy::ManyRanges => ("many-ranges", "only what is missing, many ranges in a request"),
            BenchStrategy::Lazy => {
                ("lazy", "mounted at once; what is read comes first, the rest in the background")
            }
        };
        let about = About {
            name: format!("morsel, {name}"),
            is_peer: false,
            unpacks: true,
            version: None,
            does: does.to_owned(),
            unfair: None,
        };
        let program = std::env::current_exe().context("cannot find this program")?;
        Ok(Self { about, strategy, program, registry, cache, can_mount })
    }

    /// Starts a command line that speaks with a registry.
    fn ask(&self, verb: &str, image: &Target, place: &Path) -> Command {
        let mut command = self.here(verb, place);
        let known = image.link.map_or("direct".to_owned(), |link| link.to_string());
        command.env("XDG_CACHE_HOME", self.cache.join(known)).args(&self.registry);
        let unverified: &OsStr = "--tls-verify=false".as_ref();
        command.args(
            (image.is_ours && !self.registry.iter().any(|word| word == unverified)).then_some(unverified),
        );
        command.args(image.platform.iter().flat_map(|platform| ["--platform", platform]));
        through(&mut command, image);
        command
    }

    /// Starts a command line about a store.
    fn here(&self, verb: &str, place: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(verb).arg("--root").arg(place.join("store"));
        command
    }

    fn eager(&self, image: &Target, place: &Path, watch: &mut Watch<'_>) -> anyhow::Result<Pulled> {
        let strategy = match self.strategy {
            BenchStrategy::Stream => "stream",
            BenchStrategy::Parallel => "parallel",
            BenchStrategy::OneRange => "one-range",
            BenchStrategy::ManyRanges => "many-ranges",
            BenchStrategy::Cheapest | BenchStrategy::Lazy => "cheapest",
        };
        let mut pull = self.ask("pull", image, place);
        let measured =
            success(measure::run(pull.args(["--json", "--strategy", strategy]).arg(&image.name), || {
                watch.look()
            })?)?;
        let report: Value = serde_json::from_slice(&measured.stdout).context("a receipt makes no sense")?;
        let total = |pointer: &str| report.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
        let receipt = Receipt {
            requests: total("/total/traffic/requests"),
            needed: total("/total/needed"),
            wasted: total("/total/wasted"),
            reused: total("/total/reused"),
        };
        let ready = self.mounted(image, place, &["--eager"])?.map(|mounted| measured.wall + mounted);
        Ok(Pulled {
            wall: measured.wall,
            ready,
            cpu: measured.cpu,
            peak_memory: measured.peak_memory,
            receipt: Some(receipt),
        })
    }

    /// Mounts an image that is here, and reads its program; returns how long that takes.
    fn mounted(&self, image: &Target, place: &Path, options: &[&str]) -> anyhow::Result<Option<Duration>> {
        if !self.can_mount || image.ready == Ready::Read(Vec::new()) {
            return Ok(None);
        }
        let (started, mount) = (Instant::now(), place.join("mount"));
        let mut command = self.ask("mount", image, place);
        success(measure::run(command.arg("--quiet").args(options).arg(&image.name).arg(&mount), || {})?)?;
        let is_read = is_ready(&mount, &image.ready);
        let elapsed = started.elapsed();
        success(measure::run(self.here("umount", place).arg(&mount), || {})?)?;
        Ok(is_read?.then_some(elapsed))
    }

    /// Mounts, reads, and waits until everything is here.
    fn lazy(&self, image: &Target, place: &Path, watch: &mut Watch<'_>) -> anyhow::Result<Pulled> {
        let (started, mount) = (Instant::now(), place.join("mount"));
        let mut command = self.ask("mount", image, place);
        let mounted =
            success(measure::run(command.arg("--quiet").arg(&image.name).arg(&mount), || watch.look())?)?;
        let is_read = is_ready(&mount, &image.ready);
        let ready = started.elapsed();
        let waited = measure::run(self.here("wait", place).arg(&mount), || watch.look())?;
        let wall = started.elapsed();
        watch.look();
        // The daemon did most of the work; it ends with its last mount.
        let daemon = self.daemon(place);
        let ended = measure::run(self.here("umount", place).arg(&mount), || {});
        success(waited)?;
        success(ended?)?;
        let is_read = is_read?;
        let (cpu, peak) = daemon.unwrap_or_default();
        Ok(Pulled {
            wall,
            ready: is_read.then_some(ready),
            cpu: mounted.cpu + cpu,
            peak_memory: mounted.peak_memory.max(peak),
            receipt: None,
        })
    }

    /// Returns what the daemon of a store took so far.
    fn daemon(&self, place: &Path) -> Option<(Duration, u64)> {
        let mut command = Command::new(&self.program);
        command.args(["daemon", "status", "--root"]).arg(place.join("store"));
        let status: Value = serde_json::from_slice(&command.output().ok()?.stdout).ok()?;
        let pid = u32::try_from(status.get("pid")?.as_u64()?).ok()?;
        let memory = crate::machine::peak_memory_of(&pid.to_string())?;
        Some((cpu_time(pid)?, memory))
    }
}

impl Contender for Morsel {
    fn about(&self) -> &About {
        &self.about
    }

    fn prepare(&self, image: &Target, place: &Path) -> anyhow::Result<()> {
        let mut command = self.ask("pull", image, place);
        success(measure::run(command.arg("--quiet").arg(&image.name), || {})?).map(drop)
    }

    /// A pull leaves writing to the disk, and merging what is known of chunks, to a process in the background.
    fn settle(&self, place: &Path) -> anyhow::Result<()> {
        success(measure::run(&mut self.here("sync", place), || {})?).map(drop)
    }

    fn pull(&self, image: &Target, place: &Path, watch: &mut Watch<'_>) -> anyhow::Result<Pulled> {
        match self.strategy {
            BenchStrategy::Lazy => self.lazy(image, place, watch),
            _ => self.eager(image, place, watch),
        }
    }
}

/// Fails where a program did, with what it said.
pub(super) fn success(measured: Measured) -> anyhow::Result<Measured> {
    if !measured.status.success() {
        let said = String::from_utf8_lossy(&measured.stderr);
        bail!("it ended with {}: {}", measured.status, said.trim());
    }
    Ok(measured)
}

/// Does what makes an image ready, below a directory where it is mounted; `false` when that cannot be done there.
pub(super) fn is_ready(root: &Path, ready: &Ready) -> anyhow::Result<bool> {
    match ready {
        Ready::Read(paths) => read_first(root, paths),
        Ready::Ran(command) => {
            let mut chroot = Command::new("chroot");
            success(measure::run(chroot.arg(root).args(["/bin/sh", "-c", command]), || {})?)
                .with_context(|| format!("cannot run `{command}` in the image"))?;
            Ok(true)
        }
    }
}

/// Reads the first of several files that is there, below a directory that links do not lead out of; `false` when none is.
fn read_first(root: &Path, paths: &[String]) -> anyhow::Result<bool> {
    let root_fd = openat(CWD, root, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .with_context(|| format!("cannot open `{}`", root.display()))?;
    // Without a look first, a pipe would be waited for, and a device be asked for who knows what.
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let look = |path: &str| openat2(&root_fd, path, flags, Mode::empty(), ResolveFlags::IN_ROOT).ok();
    let found = paths.iter().find_map(|path| Some((look(path)?, path)));
    let Some((found, path)) = found else { return Ok(false) };
    let is_file = FileType::from_raw_mode(fstat(&found)?.st_mode) == FileType::RegularFile;
    ensure!(is_file, "`{path}` in the image is not a regular file");
    let mut file = File::open(format!("/proc/self/fd/{}", found.as_raw_fd()))?;
    io::copy(&mut file, &mut io::sink()).with_context(|| format!("cannot read `{path}` in the mount"))?;
    Ok(true)
}
