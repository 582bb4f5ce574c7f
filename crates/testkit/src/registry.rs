//! The registry everybody runs: Debian's `docker-registry`.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;

use crate::process::Daemon;
use crate::tools::{self, Tier};

/// A registry on a free port of the loopback interface, gone when this is dropped.
#[derive(Debug)]
pub struct Registry {
    _daemon: Daemon,
    host: String,
}

impl Registry {
    /// Starts a registry that keeps everything below `dir`; without the program the test is skipped.
    ///
    /// # Panics
    ///
    /// When it does not listen within half a minute.
    pub fn start(tier: Tier, dir: &Path) -> Option<Self> {
        let mut command = tools::host(tier, "docker-registry")?;
        let (config, log) = (dir.join("registry.yml"), dir.join("registry.log"));
        fs::write(&config, configuration(&dir.join("registry"))).expect("the configuration can be written");
        let errors = File::create(&log).expect("the log can be created");
        let mut daemon =
            Daemon::start(command.arg("serve").arg(&config).stdout(Stdio::null()).stderr(errors));
        let host = daemon.wait_for("line saying where it listens", || listening_on(&log));
        Some(Self { _daemon: daemon, host })
    }

    /// Returns `address:port`, the first part of an image's name.
    pub fn host(&self) -> &str {
        &self.host
    }
}

/// Writes the configuration; port 0 lets the kernel choose, so that tests beside each other never collide.
fn configuration(storage: &Path) -> String {
    let storage = storage.display();
    format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {storage}}}}}\nhttp: {{addr: '127.0.0.1:0'}}\n"
    )
}

/// Finds `msg="listening on ADDRESS"` in the log.
fn listening_on(log: &Path) -> Option<String> {
    let text = fs::read_to_string(log).ok()?;
    let (_, rest) = text.split_once("listening on ")?;
    let address: String = rest.chars().take_while(|c| c.is_ascii_digit() || matches!(c, '.' | ':')).collect();
    rest.len().gt(&address.len()).then_some(address)
}
