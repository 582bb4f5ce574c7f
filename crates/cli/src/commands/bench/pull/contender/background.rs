//! A program that runs beside what is measured: a peer's daemon.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::commands::bench::measure::last_child;

/// How long it may take to answer, and how often it is asked.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// A running program, killed when this is dropped; what it mounted in a namespace of its own goes with it.
#[derive(Debug)]
pub(super) struct Background {
    name: &'static str,
    child: Child,
}

impl Background {
    /// Starts a program whose output goes to a file, and waits until it answers.
    pub(super) fn start(
        name: &'static str,
        command: &mut Command,
        log: &Path,
        mut answers: impl FnMut() -> bool,
    ) -> anyhow::Result<Self> {
        let file = fs::File::create(log).with_context(|| format!("cannot write `{}`", log.display()))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let (this, started) = (Self { name, child }, Instant::now());
        while started.elapsed() < PATIENCE {
            if answers() {
                return Ok(this);
            }
            sleep(PAUSE);
        }
        bail!("{name} does not answer: {}", fs::read_to_string(log).unwrap_or_default().trim())
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Starts a command line where the program runs: with its root directory, and its mounts.
    pub(super) fn enter(&self, program: &str) -> anyhow::Result<Command> {
        let pid = last_child(self.child.id());
        let environment = fs::read(format!("/proc/{pid}/environ"));
        let environment = environment.with_context(|| format!("{} has ended", self.name))?;
        let mut command = Command::new("nsenter");
        command.env("PATH", path_in(&environment));
        command.args(["--target", &pid.to_string(), "--mount", "--pid", "--root", program]);
        Ok(command)
    }

    /// Returns where a path of the program's is for this process.
    pub(super) fn seen(&self, path: &Path) -> PathBuf {
        let root = format!("/proc/{}/root", last_child(self.child.id()));
        Path::new(&root).join(path.strip_prefix("/").unwrap_or(path))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Both fail only when it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns where programs are looked for, by the environment of a process.
fn path_in(environment: &[u8]) -> OsString {
    let path = environment.split(|byte| *byte == 0).find_map(|variable| variable.strip_prefix(b"PATH="));
    path.map(|path| OsStr::from_bytes(path).to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_looked_for_where_the_other_does() {
        assert_eq!(path_in(b"A=b\0PATH=/bin:/sbin\0C="), "/bin:/sbin");
        assert_eq!(path_in(b"XPATH=/bin"), "");
    }

    #[test]
    fn it_is_there_when_it_answers() {
        let dir = tempfile::tempdir().unwrap();
        let mut asked = 0;
        let mut command = Command::new("sh");
        let log = dir.path().join("log");
        let started = Background::start("sh", command.args(["-c", "sleep 60"]), &log, || {
            asked += 1;
            asked == 3
        });
        let started = started.unwrap();
        assert!(started.seen(Path::new("/proc")).starts_with(format!("/proc/{}", last_child(started.pid()))));
        let error = Background::start("it", &mut Command::new("/nowhere"), &log, || true).unwrap_err();
        assert_eq!(error.to_string(), "cannot start it");
    }
}
