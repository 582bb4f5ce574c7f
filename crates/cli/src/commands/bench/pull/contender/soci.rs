//! soci, with daemons of its own for each store: it mounts an image from an index that lies beside it, and fetches what is read.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use server::{Access, Options, Tls};

use super::background::Background;
use super::containerd::{self, Daemon};
use super::morsel::success;
use super::peer::{about, find, pulled};
use super::{About, Contender, Pulled, Target, Watch};
use crate::commands::bench::measure::{self, tree_cpu, tree_peak};
use crate::commands::bench::pull::stage::{self, Registry};

/// Runs a program of soci, the last argument, so that the directory in which it keeps indexes is another one, the first: there is
/// no option for that, and what an earlier pull left there would not be fetched.
const IN_STATE: &str = "mkdir -p /var/lib/soci-snapshotter-grpc && \
    mount --bind \"$0\" /var/lib/soci-snapshotter-grpc && exec \"$@\"";

/// `soci image rpull`, and the daemons that do the work.
#[derive(Debug)]
pub(in super::super) struct Soci {
    about: About,
    soci: PathBuf,
    snapshotter: PathBuf,
    containerd: containerd::Programs,
    tls: Tls,
}

impl Soci {
    /// Finds its programs, and makes what it needs below `work`: a certificate, as it fetches indexes by TLS only, and indexes of
    /// `images`, by the repository and tag they have in the layouts that will be served.
    pub(in super::super) fn prepare(layouts: &Path, images: &[&str], work: &Path) -> anyhow::Result<Self> {
        let place = work.join("soci");
        fs::create_dir(&place).with_context(|| format!("cannot make `{}`", place.display()))?;
        let soci = find("soci")?;
        let does = "`soci image rpull` of the image as it was: mounted from an index beside it; what is read is fetched then";
        let unfair = "what nobody reads comes later, in the background; its index was made before, and comes by TLS over a link of its own; \
            its daemon is a new one for each pull, which forgets what the one before it fetched";
        let this = Self {
            about: About { unpacks: false, ..about("soci, lazy", &soci, does, unfair) },
            soci,
            snapshotter: find("soci-snapshotter-grpc")?,
            containerd: containerd::Programs::find()?,
            tls: certificate(&place)?,
        };
        let registry = Registry::start(Options { access: Access::ReadWrite, ..stage::options(layouts) })?;
        let daemon = this.containerd.start(&place, None)?;
        for image in images {
            let name = format!("{}/{image}", registry.address());
            this.add_index(&daemon, &name, &place)
                .with_context(|| format!("it cannot make an index of `{image}`"))?;
        }
        drop(daemon);
        Ok(this)
    }

    /// Returns the certificate that its programs trust.
    pub(in super::super) fn tls(&self) -> Tls {
        self.tls.clone()
    }

    /// Makes an index of an image in a registry, and pushes it there.
    fn add_index(&self, daemon: &Daemon<'_>, name: &str, place: &Path) -> anyhow::Result<()> {
        let mut fetch = daemon.ctr();
        fetch.args(["content", "fetch", "--plain-http", name]);
        let state = state(place)?;
        let ask = |words: &[&str]| {
            let mut soci = self.in_state(&state, &self.soci);
            soci.arg("--address").arg(daemon.socket()).args(words).arg(name);
            soci
        };
        for mut command in [fetch, ask(&["create"]), ask(&["push", "--plain-http"])] {
            success(measure::run(command.env("no_proxy", "127.0.0.1"), || {})?)?;
        }
        Ok(())
    }

    /// Starts the command line of one of its programs.
    fn in_state(&self, state: &Path, program: &Path) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", IN_STATE]).arg(state).arg(program);
        command.env("SSL_CERT_FILE", &self.tls.certificate).env("no_proxy", "127.0.0.1");
        command
    }

    /// Starts both daemons.
    fn start<'a>(&'a self, image: &Target, place: &'a Path) -> anyhow::Result<Running<'a>> {
        let name = image.original_by_tls.clone().context("there is no registry with TLS")?;
        let snapshotter = self.snapshotter(&name, &image.original, place)?;
        let daemon = self.containerd.start(place, Some(&snapshotter.socket))?;
        Ok(Running { soci: self, daemon, snapshotter, name, place })
    }

    /// Starts its own one. Layers it fetches from a loopback interface without TLS, and what belongs to an index with it, so it is
    /// told of both addresses.
    fn snapshotter(&self, name: &str, original: &str, place: &Path) -> anyhow::Result<Snapshotter> {
        let host = |name: &str| name.split_once('/').map_or(String::new(), |(host, _)| host.to_owned());
        let (config, socket) = (place.join("soci.toml"), place.join("soci.socket"));
        let mirror = format!("mirrors = [{{ host = \"{}\", insecure = true }}]", host(original));
        fs::write(&config, format!("[resolver.host.\"{}\"]\n{mirror}\n", host(name)))
            .with_context(|| format!("cannot write `{}`", config.display()))?;
        // Where a daemon before it listened, it does not.
        let _ = fs::remove_file(&socket);
        let mut command = self.in_state(&state(place)?, &self.snapshotter);
        command.arg("--address").arg(&socket).arg("--config").arg(&config);
        command.arg("--root").arg(place.join("soci"));
        let answers = || UnixStream::connect(&socket).is_ok();
        let process = Background::start("soci", &mut command, &place.join("soci.log"), answers)?;
        Ok(Snapshotter { process, socket })
    }
}

impl Contender for Soci {
    fn about(&self) -> &About {
        &self.about
    }

    fn reads_again(&self) -> bool {
        true
    }

    fn prepare(&self, image: &Target, place: &Path) -> anyhow::Result<()> {
        let running = self.start(image, place)?;
        pulled(measure::run(&mut running.pull()?, || {}))?;
        running.is_ready(image).map(drop)
    }

    fn pull(&self, image: &Target, place: &Path, watch: &mut Watch<'_>) -> anyhow::Result<Pulled> {
        let running = self.start(image, place)?;
        let before = running.cpu();
        watch.start();
        let pulled = pulled(measure::run(&mut running.pull()?, || watch.look()))?;
        let started = Instant::now();
        let is_ready = running.is_ready(image)?;
        let ready = is_ready.then(|| pulled.wall + started.elapsed());
        watch.look();
        Ok(Pulled {
            ready,
            cpu: pulled.cpu + running.cpu().saturating_sub(before),
            peak_memory: pulled.peak_memory.max(running.peak_memory()),
            ..pulled
        })
    }
}

/// Both daemons, and the image they are asked for.
#[derive(Debug)]
struct Running<'a> {
    soci: &'a Soci,
    daemon: Daemon<'a>,
    snapshotter: Snapshotter,
    name: String,
    place: &'a Path,
}

impl Running<'_> {
    fn pull(&self) -> anyhow::Result<Command> {
        let mut command = self.soci.in_state(&state(self.place)?, &self.soci.soci);
        command.arg("--address").arg(self.daemon.socket()).args(["image", "rpull", &self.name]);
        Ok(command)
    }

    /// Mounts the image where the snapshotter has its file systems, and makes it ready.
    fn is_ready(&self, image: &Target) -> anyhow::Result<bool> {
        self.daemon.is_ready(&self.snapshotter.process, ("soci", &self.name), (image, self.place))
    }

    fn cpu(&self) -> Duration {
        tree_cpu(self.daemon.process.pid()) + tree_cpu(self.snapshotter.process.pid())
    }

    fn peak_memory(&self) -> u64 {
        tree_peak(self.daemon.process.pid()).max(tree_peak(self.snapshotter.process.pid()))
    }
}

/// A running snapshotter.
#[derive(Debug)]
struct Snapshotter {
    process: Background,
    socket: PathBuf,
}

/// Returns the directory below a place where indexes are kept.
fn state(place: &Path) -> anyhow::Result<PathBuf> {
    let state = place.join("soci-state");
    fs::create_dir_all(&state).with_context(|| format!("cannot make `{}`", state.display()))?;
    Ok(state)
}

/// Makes a certificate for the loopback interface.
fn certificate(place: &Path) -> anyhow::Result<Tls> {
    let tls = Tls { certificate: place.join("certificate.pem"), key: place.join("key.pem") };
    let mut command = Command::new(find("openssl")?);
    command.args(["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    command.args(["-days", "2", "-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1"]);
    command.arg("-keyout").arg(&tls.key).arg("-out").arg(&tls.certificate);
    success(measure::run(&mut command, || {})?).context("openssl makes no certificate")?;
    Ok(tls)
}
