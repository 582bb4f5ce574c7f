//! Other programs that pull images, found on PATH.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::Context;

use super::background::Background;
use super::containerd::Containerd;
use super::morsel::{is_ready, success};
use super::{About, Contender, Pulled, Target, Watch, through};
use crate::commands::bench::measure::{self, Measured};

/// How podman is to pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Podman {
    /// Only the files that are missing.
    Partial,
    /// Whole layers.
    Whole,
    /// Whole layers of the image as it was before it was converted.
    Original,
}

/// A program that is started anew for each pull.
#[derive(Debug)]
struct Peer<H> {
    about: About,
    program: PathBuf,
    how: H,
}

#[derive(Debug)]
struct Skopeo;

#[derive(Debug)]
struct Crane;

/// Lists the peers that are there, and notes for those that are not. `has_original` says whether there is an image as it was
/// before it was converted.
pub(in super::super) fn peers(has_original: bool) -> (Vec<Box<dyn Contender>>, Vec<String>) {
    let mut ways = vec![Podman::Partial, Podman::Whole];
    ways.extend(has_original.then_some(Podman::Original));
    let podman = |program: PathBuf| ways.iter().map(|how| boxed(podman(&program, *how))).collect();
    let all: [(_, anyhow::Result<Vec<_>>); 4] = [
        ("podman", find("podman").map(podman)),
        ("skopeo", find("skopeo").map(|program| vec![boxed(skopeo(program))])),
        ("crane", find("crane").map(|program| vec![boxed(crane(program))])),
        ("ctr", Containerd::find().map(|found| vec![boxed(found)])),
    ];
    let (mut peers, mut notes) = (Vec::new(), Vec::new());
    for (name, found) in all {
        match found {
            Ok(found) => peers.extend(found),
            Err(error) => notes.push(left_out(name, &error)),
        }
    }
    (peers, notes)
}

/// Says why somebody does not take part.
pub(in super::super) fn left_out(name: &str, error: &anyhow::Error) -> String {
    format!("{name} was left out: {error:#}")
}

fn boxed<'a>(contender: impl Contender + 'a) -> Box<dyn Contender + 'a> {
    Box::new(contender)
}

fn podman(program: &Path, how: Podman) -> Peer<Podman> {
    let (name, does) = match how {
        Podman::Partial => (
            "podman, partial",
            "`podman pull` with partial pulls on: files that are missing, by many ranges in a request, into overlay storage",
        ),
        Podman::Whole => (
            "podman, whole",
            "`podman pull` with partial pulls off: whole layers of the same image, into overlay storage",
        ),
        Podman::Original => (
            "podman, original",
            "`podman pull` of the image as it was before it was converted, mostly gzip, into overlay storage",
        ),
    };
    let unfair = "it is started anew to mount what it pulled, which is part of *ready*; morsel, too";
    Peer { about: about(name, program, does, unfair), program: program.to_owned(), how }
}

fn skopeo(program: PathBuf) -> Peer<Skopeo> {
    let does = "`skopeo copy` into a directory: stores blobs as they are, and unpacks nothing";
    let unfair = "nobody can run what it stored, and it knows no other image: every pull is cold";
    let about = About { unpacks: false, ..about("skopeo, copy", &program, does, unfair) };
    Peer { about, program, how: Skopeo }
}

fn crane(program: PathBuf) -> Peer<Crane> {
    let does = "`crane export` into nothing: decompresses and merges layers, and stores nothing";
    let unfair = "it writes no file at all, and knows no other image: every pull is cold";
    let about = About { unpacks: false, ..about("crane, export", &program, does, unfair) };
    Peer { about, program, how: Crane }
}

/// Says who a peer is.
pub(super) fn about(name: &str, program: &Path, does: &str, unfair: &str) -> About {
    About {
        name: name.to_owned(),
        is_peer: true,
        unpacks: true,
        version: version(program),
        does: does.to_owned(),
        unfair: Some(unfair.to_owned()),
    }
}

/// Returns what a program says of its version, in a line.
fn version(program: &Path) -> Option<String> {
    let output =
        Command::new(program).arg("--version").output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).lines().next()?.to_owned())
}

/// Finds a program on PATH.
pub(super) fn find(name: &str) -> anyhow::Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.with_context(|| format!("`{name}` is not on PATH"))
}

/// Takes what was measured as a pull.
pub(super) fn pulled(measured: std::io::Result<Measured>) -> anyhow::Result<Pulled> {
    let measured = success(measured?)?;
    Ok(Pulled {
        wall: measured.wall,
        ready: None,
        cpu: measured.cpu,
        peak_memory: measured.peak_memory,
        receipt: None,
    })
}

impl Peer<Podman> {
    /// Says where its storage is, and how to pull; returns the file that does.
    fn configure(&self, place: &Path) -> anyhow::Result<PathBuf> {
        let config = place.join("storage.conf");
        let partial = self.how == Podman::Partial;
        let text = format!(
            "[storage]\ndriver = \"overlay\"\ngraphroot = \"{0}/graph\"\nrunroot = \"{0}/run\"\n\
             [storage.options]\npull_options = {{enable_partial_images = \"{partial}\"}}\n",
            place.display()
        );
        fs::write(&config, text).with_context(|| format!("cannot write `{}`", config.display()))?;
        Ok(config)
    }

    fn name<'i>(&self, image: &'i Target) -> &'i str {
        if self.how == Podman::Original { &image.original } else { &image.name }
    }

    fn command(&self, image: &Target, place: &Path) -> anyhow::Result<Command> {
        let mut command = Command::new(&self.program);
        command.env("CONTAINERS_STORAGE_CONF", self.configure(place)?).args(["pull", "--quiet"]);
        command.args(image.is_ours.then_some("--tls-verify=false"));
        command.args(image.platform.iter().flat_map(|platform| ["--platform", platform]));
        through(&mut command, image).arg(self.name(image));
        Ok(command)
    }

    /// Starts a podman that does nothing, but has a place for mounts that stays.
    fn service(&self, place: &Path) -> anyhow::Result<Background> {
        let socket = place.join("podman.socket");
        let mut command = Command::new(&self.program);
        command
            .env("CONTAINERS_STORAGE_CONF", self.configure(place)?)
            .args(["system", "service", "--time=0"]);
        command.arg(format!("unix://{}", socket.display()));
        let answers = || UnixStream::connect(&socket).is_ok();
        Background::start("podman system service", &mut command, &place.join("podman.log"), answers)
    }

    /// Mounts what was pulled, and makes it ready.
    fn is_ready(&self, service: &Background, image: &Target, place: &Path) -> anyhow::Result<bool> {
        let mut command = service.enter("podman")?;
        command.env("CONTAINERS_STORAGE_CONF", place.join("storage.conf")).args(["image", "mount"]);
        let mounted = success(measure::run(command.arg(self.name(image)), || {})?)?;
        let mount = String::from_utf8_lossy(&mounted.stdout).trim().to_owned();
        is_ready(&service.seen(Path::new(&mount)), &image.ready)
    }
}

impl Contender for Peer<Podman> {
    fn about(&self) -> &About {
        &self.about
    }

    fn warm_up(&self) {
        version(&self.program);
    }

    fn prepare(&self, image: &Target, place: &Path) -> anyhow::Result<()> {
        pulled(measure::run(&mut self.command(image, place)?, || {})).map(drop)
    }

    fn pull(&self, image: &Target, place: &Path, watch: &mut Watch<'_>) -> anyhow::Result<Pulled> {
        let service = rustix::process::geteuid().is_root().then(|| self.service(place)).transpose()?;
        watch.start();
        let pulled = pulled(measure::run(&mut self.command(image, place)?, || watch.look()))?;
        let started = Instant::now();
        let is_ready = service.map(|service| self.is_ready(&service, image, place)).transpose()?;
        let ready = is_ready.unwrap_or(false).then(|| pulled.wall + started.elapsed());
        Ok(Pulled { ready, ..pulled })
    }
}

impl Contender for Peer<Skopeo> {
    fn about(&self) -> &About {
        &self.about
    }

    fn warm_up(&self) {
        version(&self.program);
    }

    fn prepare(&self, _image: &Target, _place: &Path) -> anyhow::Result<()> {
        Ok(())
    }

    fn pull(&self, image: &Target, place: &Path, watch: &mut Watch<'_>) -> anyhow::Result<Pulled> {
        let mut command = Command::new(&self.program);
        command.arg("--insecure-policy");
        for (option, part) in
            ["--override-os", "--override-arch", "--override-variant"].iter().zip(image.parts())
        {
            command.args([option, part]);
        }
        command.args(["copy", "--quiet"]);
        command.args(image.is_ours.then_some("--src-tls-verify=false"));
        through(&mut command, image).arg(format!("docker://{}", image.name));
        pulled(measure::run(command.arg(format!("dir:{}", place.join("image").display())), || watch.look()))
    }
}

impl Contender for Peer<Crane> {
    fn about(&self) -> &About {
        &self.about
    }

    fn warm_up(&self) {
        version(&self.program);
    }

    fn prepare(&self, _image: &Target, _place: &Path) -> anyhow::Result<()> {
        Ok(())
    }

    fn pull(&self, image: &Target, _place: &Path, watch: &mut Watch<'_>) -> anyhow::Result<Pulled> {
        let mut command = Command::new(&self.program);
        command.arg("export").args(image.is_ours.then_some("--insecure"));
        command.args(image.platform.iter().flat_map(|platform| ["--platform", platform]));
        let nothing: &OsStr = "/dev/null".as_ref();
        pulled(measure::run(through(&mut command, image).arg(&image.name).arg(nothing), || watch.look()))
    }
}
