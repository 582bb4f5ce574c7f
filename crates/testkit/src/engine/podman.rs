//! podman of a peer root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::oci::Layout;
use crate::process::run;
use crate::tools::{PeerRoot, Tier};

/// podman with partial pulls on, and empty storage that lasts as long as its directory.
#[derive(Debug)]
pub struct Podman {
    root: PeerRoot,
    dir: PathBuf,
    conf: PathBuf,
}

impl Podman {
    /// Takes the podman of a suite and lets it store below `dir`; without it the test is skipped.
    ///
    /// # Panics
    ///
    /// When the configuration cannot be written.
    pub fn start(suite: &str, dir: &Path) -> Option<Self> {
        let root = PeerRoot::find(Tier::Engine, suite, "podman")?;
        let dir = dir.join(format!("podman-{suite}"));
        let conf = dir.join("storage.conf");
        fs::create_dir_all(&dir).expect("a directory can be made");
        fs::write(&conf, configuration(&dir)).expect("the configuration can be written");
        Some(Self { root, dir, conf })
    }

    /// Returns the directory that it stores images and layers in.
    pub fn graph_root(&self) -> PathBuf {
        self.dir.join("graph")
    }

    /// Pulls an image from a registry without TLS.
    pub fn pull(&self, image: &str) -> Pull {
        let mut podman = self.command();
        let written = run(podman.args(["--log-level=debug", "pull", "--tls-verify=false", image]));
        let image_id = written.text().lines().last().unwrap_or_default().to_owned();
        Pull { image_id: format!("sha256:{image_id}"), log: written.stderr }
    }

    /// Returns the directory that podman sees.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Runs a command in a container of an image that has been pulled, and returns what it prints.
    pub fn run(&self, image: &str, arguments: &[&str]) -> String {
        self.run_with(&[image], arguments)
    }

    /// Runs a command in a container on a root file system below [`Podman::dir`], and returns what it prints.
    pub fn run_rootfs(&self, rootfs: &str, arguments: &[&str]) -> String {
        self.run_with(&["--rootfs", rootfs], arguments)
    }

    fn run_with(&self, what: &[&str], arguments: &[&str]) -> String {
        let mut podman = self.command();
        // crun refuses hybrid cgroups, and a nested machine may not raise limits.
        podman.args(["run", "--rm", "--runtime=runc", "--network=none"]);
        podman.args(["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]);
        run(podman.args(what).args(arguments)).text().to_owned()
    }

    /// Takes an image from a layout, mounts it, and copies its root file system to a directory, attributes and all.
    pub fn copy_root(&self, layout: &Layout, tag: &str, target: &Path) {
        let script = r#"
            image=$(podman pull --quiet "$1")
            root=$(podman image mount "$image")
            cp --archive --sparse=auto "$root/." "$2"
            podman image unmount "$image" >&2
        "#;
        let mut sh = self.in_root("sh", &[layout.dir(), target]);
        run(sh.args(["-euc", script, "sh", &layout.reference(tag)]).arg(target));
    }

    /// Starts a podman command line.
    pub fn command(&self) -> Command {
        self.in_root("podman", &[])
    }

    fn in_root(&self, program: &str, directories: &[&Path]) -> Command {
        let directories: Vec<_> = [&*self.dir].into_iter().chain(directories.iter().copied()).collect();
        let mut command = self.root.command(program, &directories);
        command.env("CONTAINERS_STORAGE_CONF", &self.conf).env("PODMAN_IGNORE_CGROUPSV1_WARNING", "1");
        command
    }
}

fn configuration(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "[storage]\ndriver = \"overlay\"\ngraphroot = \"{dir}/graph\"\nrunroot = \"{dir}/run\"\n\
         [storage.options]\npull_options = {{enable_partial_images = \"true\"}}\n"
    )
}

/// What podman said about a pull.
#[derive(Debug)]
pub struct Pull {
    /// `sha256:` and the image ID.
    pub image_id: String,
    /// The log, with debug messages.
    pub log: String,
}

impl Pull {
    /// Tells whether the layer was fetched chunk by chunk.
    ///
    /// podman names the blob when it opens its TOC, and again when every byte has been verified. In between it may
    /// still fall back to an ordinary download.
    pub fn was_partial(&self, blob: &str) -> bool {
        self.log.contains(&format!("Created zstd:chunked differ for blob \\\"{blob}\\\""))
            && self.log.contains(&format!("Retrieved partial blob {blob}"))
    }
}
