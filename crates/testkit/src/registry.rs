//! The registry everybody runs: Debian's `docker-registry`.

mod setup;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::access_log::{self, Access};
use crate::oci::Layout;
use crate::process::{Daemon, run};
use crate::tools::{self, Tier};

pub use setup::{Auth, Setup};

/// A registry on a free port of the loopback interface, gone when this is dropped.
#[derive(Debug)]
pub struct Registry {
    _daemon: Daemon,
    host: String,
    accesses: PathBuf,
}

impl Registry {
    /// Starts a registry that keeps everything below `dir` and is open to everybody; without the program the test is
    /// skipped.
    ///
    /// # Panics
    ///
    /// When it does not listen within half a minute.
    pub fn start(tier: Tier, dir: &Path) -> Option<Self> {
        Self::start_as(tier, dir, &Setup::default())
    }

    /// Starts a registry with TLS, users or tokens; without a program that takes the test is skipped.
    ///
    /// # Panics
    ///
    /// When it does not listen within half a minute.
    pub fn start_as(tier: Tier, dir: &Path, setup: &Setup) -> Option<Self> {
        let mut command = tools::host(tier, "docker-registry")?;
        fs::create_dir_all(dir).expect("a directory can be made");
        let (config, log, accesses) =
            (dir.join("registry.yml"), dir.join("registry.log"), dir.join("access.log"));
        fs::write(&config, setup.configuration(tier, dir)?).expect("the configuration can be written");
        let create = |path: &Path| File::create(path).expect("the log can be created");
        command.arg("serve").arg(&config).stdout(create(&accesses)).stderr(create(&log));
        let mut daemon = Daemon::start(&mut command);
        let host = daemon.wait_for("line saying where it listens", || listening_on(&log));
        Some(Self { _daemon: daemon, host, accesses })
    }

    /// Returns `address:port`, the first part of an image's name.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the requests so far. One that has just been answered may be missing.
    pub fn requests(&self) -> Vec<Access> {
        access_log::read(&self.accesses)
    }
}

/// Copies an image of a layout to any registry with this machine's skopeo, and returns its name there. `options` are
/// those of `skopeo copy`; without skopeo the test is skipped.
pub fn push(tier: Tier, layout: &Layout, tag: &str, repository: &str, options: &[&str]) -> Option<String> {
    let mut skopeo = tools::host(tier, "skopeo")?;
    let name = format!("docker://{repository}:{tag}");
    skopeo.args(["copy", "--insecure-policy", "--all", "--dest-tls-verify=false"]).args(options);
    run(skopeo.arg(layout.reference(tag)).arg(&name));
    Some(name)
}

/// Finds `msg="listening on ADDRESS"` in the log.
fn listening_on(log: &Path) -> Option<String> {
    let text = fs::read_to_string(log).ok()?;
    let (_, rest) = text.split_once("listening on ")?;
    let address: String = rest.chars().take_while(|c| c.is_ascii_digit() || matches!(c, '.' | ':')).collect();
    rest.len().gt(&address.len()).then_some(address)
}
