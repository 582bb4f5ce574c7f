//! An image that something else than `morsel` has already: a pull of its successor fetches what is new, and no more.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use chunked::{BlobRange, ChunkKind, Content, ContentDigest, Layer, Limits};
use serde_json::Value;
use testkit::data;
use testkit::engine::Podman;
use testkit::oci::Layout;
use testkit::process::{run, run_with};
use testkit::registry::{Registry, push};
use testkit::tar::Tar;
use testkit::tools::{self, Tier};

use crate::harness::{Converted, digest, morsel};
use crate::update::objects;

/// `chunked-manifest-cache`, as it is called on disk.
const CACHE: &str = "=Y2h1bmtlZC1tYW5pZmVzdC1jYWNoZQ==";

/// An image and its successor: small files stay, change, come and go, and of a large one a piece in the middle changes.
struct Succession {
    before: Converted,
    after: Converted,
}

impl Succession {
    fn new(dir: &Path) -> Self {
        let image = |name: &str, version| Converted::new(&dir.join(name), vec![tar(version)]);
        Self { before: image("before", 1), after: image("after", 2) }
    }

    /// Counts the compressed bytes of the chunks of the successor that the image does not have, by their digests.
    fn new_chunks(&self) -> u64 {
        let known: HashSet<_> = chunks(&self.before.target).into_iter().map(|(digest, _)| digest).collect();
        let new = chunks(&self.after.target).into_iter().filter(|(digest, _)| !known.contains(digest));
        let ranges: HashSet<_> = new.map(|(_, range)| range).collect();
        ranges.into_iter().map(|range| range.len()).sum()
    }

    /// Pulls the successor with a seed. It must end up in the store as without one.
    fn pull(&self, dir: &Path, seed: &str) -> Value {
        self.pull_by(morsel, dir, seed)
    }

    /// The same with a `morsel` that is started in some other way.
    fn pull_by(&self, start: impl Fn() -> Command, dir: &Path, seed: &str) -> Value {
        let [plain, seeded] = ["plain-store", "store"].map(|name| dir.join(name));
        let pull = |store: &Path, options: &[&str]| {
            let mut command = start();
            command.args(["pull", "--json"]).args(options).arg("--root").arg(store);
            serde_json::from_slice(&run(command.arg(self.after.target.reference("latest"))).stdout).unwrap()
        };
        pull(&plain, &[]);
        let receipt: Value = pull(&seeded, &["--seed", seed]);
        assert_eq!(objects(&seeded), objects(&plain));
        assert_eq!(receipt["layers"][0]["state"], "proven");
        receipt
    }
}

fn tar(version: u64) -> Vec<u8> {
    let large =
        [data::stream(1, 300_000), data::stream(10 + version, 1000), data::stream(2, 300_000)].concat();
    let kept = (0..20).fold(Tar::new().dir("usr/").dir("usr/lib/"), |tar, number| {
        tar.file(format!("usr/lib/kept-{number}"), data::stream(100 + number, 9_000))
    });
    kept.file("usr/lib/large", large)
        .file("usr/lib/version", data::text(version, 3_000))
        .file(format!("usr/lib/only-{version}"), data::stream(20 + version, 5_000))
        .finish()
}

/// Lists the contents of an image's layer.
fn contents(image: &Layout) -> Vec<Content> {
    let blob = image.blob(digest(&image.layers("latest")[0]));
    let layer = Layer::open(&blob.as_slice(), |_| None, &Limits::default()).unwrap();
    let Layer::Chunked(layer) = layer else { panic!("the layer has no TOC") };
    layer.toc.entries.into_iter().filter_map(|entry| entry.content).collect()
}

/// Lists the chunks of an image by digest, with their places in its blob.
fn chunks(image: &Layout) -> Vec<(ContentDigest, BlobRange)> {
    let chunks = contents(image).into_iter().flat_map(|content| {
        let data = content.chunks.into_iter().filter(|chunk| chunk.kind == ChunkKind::Data);
        data.map(move |chunk| (chunk.digest.or(content.digest).unwrap(), chunk.blob))
    });
    chunks.collect()
}

/// Pulls an image with podman.
fn podman_pulls(dir: &Path, podman: &Podman, layout: &Layout) -> bool {
    let Some(registry) = Registry::start(Tier::Engine, dir) else { return false };
    let repository = format!("{}/image", registry.host());
    let Some(name) = push(Tier::Engine, layout, "latest", &repository, &["--preserve-digests"]) else {
        return false;
    };
    let pull = podman.pull(name.strip_prefix("docker://").unwrap());
    assert_eq!(pull.image_id, layout.image_id("latest"));
    true
}

#[test]
fn engine_podman_pulled_it_in_parts() {
    let dir = tempfile::tempdir().unwrap();
    let Some(podman) = Podman::start("sid", dir.path()) else { return };
    let images = Succession::new(dir.path());
    if !podman_pulls(dir.path(), &podman, &images.before.target) {
        return;
    }

    let seed = format!("containers-storage:{}", podman.graph_root().display());
    let receipt = images.pull(dir.path(), &seed);

    assert_eq!(receipt["total"]["needed"], images.new_chunks(), "{receipt:#}");
}

/// podman makes an index of what a layer has when it pulls the next image in parts.
#[test]
fn engine_podman_made_an_index_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let Some(podman) = Podman::start("sid", dir.path()) else { return };
    let images = Succession::new(dir.path());
    let other = Converted::sample(dir.path());
    if ![&images.before, &other].iter().all(|image| podman_pulls(dir.path(), &podman, &image.target)) {
        return;
    }
    let layer = run(Command::new("find").arg(podman.graph_root()).args(["-name", CACHE])).text().to_owned();
    let toc = Path::new(layer.trim()).with_file_name("=enN0ZC1jaHVua2VkLW1hbmlmZXN0");
    fs::remove_file(toc).unwrap();

    let seed = format!("containers-storage:{}", podman.graph_root().display());
    let receipt = images.pull(dir.path(), &seed);

    assert_eq!(receipt["total"]["needed"], images.new_chunks(), "{receipt:#}");
    assert!(receipt["total"]["seeds"][0]["chunks"]["count"].as_u64() > Some(1), "{receipt:#}");
}

#[test]
fn engine_the_kind_alone_stands_for_the_stores_that_the_configuration_names() {
    let dir = tempfile::tempdir().unwrap();
    let Some(podman) = Podman::start("sid", dir.path()) else { return };
    let images = Succession::new(dir.path());
    if !podman_pulls(dir.path(), &podman, &images.before.target) {
        return;
    }
    // An empty graph root, and podman's as an additional image store.
    let (conf, empty) = (dir.path().join("storage.conf"), dir.path().join("empty"));
    fs::create_dir_all(empty.join("overlay-layers")).unwrap();
    fs::write(empty.join("overlay-layers/layers.json"), "[]").unwrap();
    let text = format!(
        "[storage]\ngraphroot = '{}'\n[storage.options]\nadditionalimagestores = ['{}', '/none']\n",
        empty.display(),
        podman.graph_root().display()
    );
    fs::write(&conf, text).unwrap();

    let start = || {
        let mut morsel = morsel();
        morsel.env("CONTAINERS_STORAGE_CONF", &conf);
        morsel
    };
    let receipt = images.pull_by(start, dir.path(), "containers-storage");

    assert_eq!(receipt["total"]["needed"], images.new_chunks(), "{receipt:#}");
}

#[test]
fn engine_podman_pulled_it_whole() {
    let dir = tempfile::tempdir().unwrap();
    let Some(podman) = Podman::start("sid", dir.path()) else { return };
    let images = Succession::new(dir.path());
    if !podman_pulls(dir.path(), &podman, &images.before.source) {
        return;
    }

    let seed = format!("containers-storage:{}", podman.graph_root().display());
    let receipt = images.pull(dir.path(), &seed);

    assert_eq!(receipt["total"]["needed"], images.new_chunks(), "{receipt:#}");
}

/// Where podman runs as root, it mounts the directory with the layers on itself.
#[test]
fn engine_its_layers_are_mounted() {
    let dir = tempfile::tempdir().unwrap();
    let Some(podman) = Podman::start("sid", dir.path()) else { return };
    let images = Succession::new(dir.path());
    if !podman_pulls(dir.path(), &podman, &images.before.source) {
        return;
    }
    let start = || {
        let mut unshare = Command::new("unshare");
        let script = r#"mount --bind "$1" "$1"; shift; exec "$@""#;
        unshare.args(["--mount", "sh", "-euc", script, "sh"]).arg(podman.graph_root().join("overlay"));
        unshare.arg(morsel().get_program());
        unshare
    };

    let seed = format!("containers-storage:{}", podman.graph_root().display());
    let receipt = images.pull_by(start, dir.path(), &seed);

    assert_eq!(receipt["total"]["needed"], images.new_chunks(), "{receipt:#}");
}

/// Commits the image before the successor to a new repository, and pulls the successor with it.
fn ostree_has_it(mode: &str) {
    let dir = tempfile::tempdir().unwrap();
    let (repo, tree) = (dir.path().join("repo"), dir.path().join("tree"));
    let Some(mut init) = ostree(&repo, &["init", "--mode", mode]) else { return };
    let Some(mut commit) = ostree(&repo, &["commit", "--branch=os/stable", "--subject=1"]) else { return };
    let images = Succession::new(dir.path());
    fs::create_dir(&tree).unwrap();
    run_with(Command::new("tar").arg("-xC").arg(&tree), &images.before.tars[0]);
    run(&mut init);
    run(commit.arg(format!("--tree=dir={}", tree.display())));

    let receipt = images.pull(dir.path(), &format!("ostree:{}", repo.display()));

    assert_eq!(receipt["total"]["needed"], images.new_chunks(), "{receipt:#}");
}

fn ostree(repo: &Path, arguments: &[&str]) -> Option<Command> {
    let mut command = tools::host(Tier::Tool, "ostree")?;
    command.arg(format!("--repo={}", repo.display())).args(arguments);
    Some(command)
}

#[test]
fn tool_ostree_has_it_in_a_bare_repository() {
    ostree_has_it("bare");
}

#[test]
fn tool_ostree_has_it_in_a_bare_user_repository() {
    ostree_has_it("bare-user");
}

#[test]
fn tool_ostree_compresses_what_is_in_an_archive() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut init) = ostree(dir.path(), &["init", "--mode=archive"]) else { return };
    run(&mut init);
    let layout = Converted::sample(dir.path()).target;
    let mut command = morsel();
    command.args(["pull", "--root"]).arg(dir.path().join("store"));
    command.arg(format!("--seed=ostree:{}", dir.path().display()));
    let output = command.arg(layout.reference("latest")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).replace(&*dir.path().to_string_lossy(), "REPO");
    insta::assert_snapshot!(said, @"
    error: cannot use the seed `ostree:REPO`
      cause: `REPO` is no such seed, expected a repository of ostree that does not compress its files, of mode `bare`, `bare-user` or the like
    ");
}
