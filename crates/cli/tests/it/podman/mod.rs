//! Unmodified engines pull through the storage helper.

mod everyday;
mod faults;
mod lazy;
mod pulls;
mod together;
mod units;

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use testkit::access_log::Access;
use testkit::engine::Machine;
use testkit::oci::{Compression, Layout};
use testkit::process::run;
use testkit::registry::Registry;
use testkit::tar::Tar;
use testkit::tools::Tier;

use crate::harness::morsel;

/// Defines a command that kills every process of ours, and fails when there is none. The roots of suites have no `pkill`.
pub(crate) const KILL: &str = r#"kill_morsel() (
    set --; for process in /proc/[0-9]*; do
        [ "$(cat $process/comm 2>/dev/null)" != morsel ] || set -- "$@" ${process#/proc/}
    done; kill -KILL "$@" 2>/dev/null
)
"#;

/// A machine that was set up, and a registry with images that run there.
pub(crate) struct Scene {
    pub(crate) machine: Machine,
    pub(crate) registry: Registry,
    layout: Layout,
    /// The layer with a shell.
    shell: Vec<u8>,
    dir: TempDir,
}

impl Scene {
    /// Sets up a machine of a suite; without it, or a registry, the test is skipped.
    pub(crate) fn start(suite: &str) -> Option<Self> {
        let scene = Self::bare(suite)?;
        scene.machine.sh("morsel setup podman");
        Some(scene)
    }

    /// Takes a machine that is not set up.
    pub(crate) fn bare(suite: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let programs = Path::new(env!("CARGO_BIN_EXE_morsel")).parent().unwrap();
        let machine = Machine::start(suite, dir.path(), programs)?;
        let registry = Registry::start(Tier::Engine, &dir.path().join("registry"))?;
        machine.trust(registry.host());
        let shell = machine.shell();
        let layout = Layout::create(dir.path().join("layout"));
        Some(Self { machine, registry, layout, shell, dir })
    }

    /// Makes another machine, which is not set up.
    pub(crate) fn another_machine(&self, suite: &str) -> Machine {
        let dir = self.dir.path().join("another");
        let machine = Machine::start(suite, &dir, &dir).unwrap();
        machine.trust(self.registry.host());
        machine
    }

    /// Pushes an image of the shell's layer and others, and returns its name and its ID.
    pub(crate) fn push(&self, name: &str, above: &[Tar]) -> (String, String) {
        self.push_as(name, name, above)
    }

    /// Does the same with a tag of its own.
    pub(crate) fn push_as(&self, name: &str, tag: &str, above: &[Tar]) -> (String, String) {
        let tars: Vec<_> = above.iter().map(|tar| tar.clone().finish()).collect();
        let tars: Vec<&[u8]> =
            [self.shell.as_slice()].into_iter().chain(tars.iter().map(Vec::as_slice)).collect();
        let id = self.layout.add_image(name, Compression::Gzip, &tars);
        let repository = format!("{}/{name}", self.registry.host());
        self.push_layout(name, tag, &repository);
        (format!("{repository}:{tag}"), id.strip_prefix("sha256:").unwrap().to_owned())
    }

    /// Copies an image of the layout to the registry, as another tag.
    fn push_layout(&self, name: &str, tag: &str, repository: &str) {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["copy", "-q", "--insecure-policy", "--dest-tls-verify=false"]);
        run(skopeo.arg(self.layout.reference(name)).arg(format!("docker://{repository}:{tag}")));
    }

    /// Converts an image in the registry to zstd:chunked, and returns the name of what it becomes.
    pub(crate) fn convert(&self, name: &str) -> String {
        let converted = format!("{name}-zc");
        self.convert_as(name, &converted);
        converted
    }

    /// Does the same with a name of its own.
    pub(crate) fn convert_as(&self, name: &str, converted: &str) {
        run(morsel().args(["convert", "-q", "--tls-verify=false", name, converted]));
    }

    /// Returns the requests for layers of whoever is not us.
    pub(crate) fn layers_of_engines(&self) -> Vec<Access> {
        let layers = self.layers();
        let is_ours = |request: &Access| request.agent.starts_with("morsel");
        let is_layer = |request: &Access| layers.iter().any(|layer| request.path.ends_with(layer.as_str()));
        let requests = self.registry.requests().into_iter();
        requests.filter(|request| request.method == "GET" && is_layer(request) && !is_ours(request)).collect()
    }

    /// Lists the digests of all blobs of the registry that are no JSON.
    fn layers(&self) -> Vec<String> {
        self.layers_with_len().into_iter().map(|(layer, _)| layer).collect()
    }

    /// Does the same, with their lengths.
    pub(crate) fn layers_with_len(&self) -> Vec<(String, u64)> {
        let blobs = self.dir.path().join("registry/registry/docker/registry/v2/blobs/sha256");
        let mut layers = Vec::new();
        for fan in std::fs::read_dir(blobs).unwrap() {
            for blob in std::fs::read_dir(fan.unwrap().path()).unwrap() {
                let blob = blob.unwrap();
                let bytes = std::fs::read(blob.path().join("data")).unwrap();
                if serde_json::from_slice::<Value>(&bytes).is_err() {
                    let digest = format!("sha256:{}", blob.file_name().into_string().unwrap());
                    layers.push((digest, bytes.len() as u64));
                }
            }
        }
        layers
    }

    /// Returns what the helper wrote down.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.machine.path("var/lib/morsel/helper.log")).unwrap_or_default()
    }
}
