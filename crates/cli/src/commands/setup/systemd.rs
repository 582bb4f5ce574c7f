//! Has systemd start what engines need, and stop it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::plan::Change;
use crate::commands::daemon::{ENABLED, units};
use crate::ui;

/// Where units are that are not of a package.
const UNITS: &str = "/etc/systemd/system";

/// It is there when systemd runs the machine: sd_booted(3).
const BOOTED: &str = "/run/systemd/system";

/// Tells whether systemd runs the machine.
pub(in crate::commands) fn is_there() -> bool {
    Path::new(BOOTED).is_dir()
}

/// Tells whether the units are in their places.
pub(in crate::commands) fn is_installed() -> bool {
    ENABLED.iter().all(|name| path(name).exists())
}

/// Plans the units.
pub(super) fn install(store: &Path) -> anyhow::Result<Vec<Change>> {
    let unit = |(name, text): (&str, String)| {
        let mut change = Change::of(path(name), "mounts again after a reboot, and serves what is missing")?;
        change.after = Some(text);
        Ok(change)
    };
    units(store)?.into_iter().map(unit).collect()
}

/// Plans to take them back.
pub(super) fn uninstall(store: &Path) -> anyhow::Result<Vec<Change>> {
    let unit = |(name, _): (&str, String)| {
        Ok(Change { after: None, ..Change::of(path(name), "mounted again after a reboot")? })
    };
    units(store)?.into_iter().map(unit).collect()
}

/// Starts them, now and whenever the machine does.
pub(super) fn enable() {
    systemctl(&["daemon-reload"]);
    systemctl(&[&["enable", "--now"], ENABLED.as_slice()].concat());
}

/// Ends that, before the files go.
pub(super) fn disable() {
    systemctl(&[&["disable", "--now", "morsel.service"], ENABLED.as_slice()].concat());
}

/// Says what fails: nothing else depends on it until the next reboot.
fn systemctl(words: &[&str]) {
    let mut command = Command::new("systemctl");
    let done = command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).output();
    let why = match done {
        Ok(output) if output.status.success() => return,
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    ui::say(&format!("`systemctl {}` fails: {why}\n", words.join(" ")));
}

fn path(name: &str) -> PathBuf {
    Path::new(UNITS).join(name)
}
