//! A registry, a store, and directories to mount its images on.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, geteuid};
use serde_json::Value;
use testkit::oci::Layout;
use testkit::scripted::{Script, Scripted};
use testkit::tools::{self, Tier};

use crate::harness::morsel;

/// A registry, and a store `store`. What is mounted below its directory goes away with it, and so does the daemon.
pub(crate) struct Scene {
    dir: tempfile::TempDir,
    pub(crate) registry: Scripted,
}

impl Scene {
    /// Says why there is none, where nothing can be mounted.
    pub(crate) fn new(script: Script) -> Option<Self> {
        if !geteuid().is_root() || !Path::new("/dev/fuse").exists() {
            tools::skip(Tier::Root, "only root can mount FUSE, where there is one");
            return None;
        }
        let scene = Self { dir: tempfile::tempdir().unwrap(), registry: Scripted::start(script) };
        fs::create_dir(scene.path("store")).unwrap();
        Some(scene)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Puts an image into the registry, and returns what it is called there.
    pub(crate) fn publish(&self, name: &str, layout: &Layout) -> String {
        self.registry.add_layout(name, layout);
        self.name(name)
    }

    /// Returns what an image of the registry is called.
    pub(crate) fn name(&self, image: &str) -> String {
        format!("docker://{}/{image}:latest", self.registry.host())
    }

    /// Makes a command line of a verb and its words, for the store.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = morsel();
        command.args(words.first()).arg("--root").arg(self.path("store")).args(words.iter().skip(1));
        command.current_dir(self.dir.path());
        command.env("HOME", self.path("home"));
        for variable in ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"] {
            command.env_remove(variable);
        }
        command
    }

    pub(crate) fn output(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// Runs a command that must succeed.
    pub(crate) fn run(&self, words: &[&str]) -> String {
        let output = self.output(words);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{words:?}: {}\nlog: {}", text(&output.stderr), self.log());
        text(&output.stdout)
    }

    /// Runs a command that must succeed and writes JSON.
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.run(words)).unwrap()
    }

    /// Returns what daemons told people.
    pub(crate) fn log(&self) -> String {
        ["store/run/log", "log"].map(|log| fs::read_to_string(self.path(log)).unwrap_or_default()).concat()
    }

    /// Starts a daemon as nobody starts it by default.
    pub(crate) fn start_daemon(&self, options: &[&str]) {
        let command = self.command(&[&["daemon", "--detached"], options].concat());
        let mut detached = Command::new("setsid");
        detached.arg("--fork").arg(command.get_program()).args(command.get_args()).current_dir(self.path(""));
        let log = File::create(self.path("log")).unwrap();
        assert!(detached.stdout(Stdio::null()).stderr(log).status().unwrap().success());
        let start = Instant::now();
        while !self.output(&["daemon", "status"]).status.success() {
            assert!(start.elapsed() < Duration::from_secs(30), "{}", self.log());
            sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn status(&self) -> Value {
        self.json(&["daemon", "status"])
    }

    pub(crate) fn daemon(&self) -> Pid {
        Pid::from_raw(self.status()["pid"].as_i64().unwrap() as i32).unwrap()
    }

    /// Finds the keeper: the parent of the daemon.
    pub(crate) fn keeper(&self) -> Pid {
        let status = fs::read_to_string(format!("/proc/{}/status", self.daemon().as_raw_nonzero())).unwrap();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
        Pid::from_raw(parent.trim().parse().unwrap()).unwrap()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let mounts = self.output(&["mounts", "--json"]).stdout;
        let mounts: Value = serde_json::from_slice(&mounts).unwrap_or_default();
        for mount in mounts.as_array().into_iter().flatten() {
            let _ = self.output(&["umount", mount["directory"].as_str().unwrap_or_default(), "--lazy"]);
        }
        let _ = self.output(&["daemon", "stop"]);
        // Whatever the test left: nothing may stay mounted below a directory that goes away.
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let mounts = mounts.lines().rev().filter_map(|line| line.split(' ').nth(1));
        for mount in mounts.filter(|mount| Path::new(mount).starts_with(self.dir.path())) {
            let _ = unmount(mount, UnmountFlags::DETACH);
        }
    }
}
