//! Peers push to `morsel serve`, and pull from it: whole images, those of several platforms, and sparse ones.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use testkit::data;
use testkit::engine::Podman;
use testkit::http::{Answer, exchange, request};
use testkit::oci::{self, Layout};
use testkit::process::run;
use testkit::tar::Tar;
use testkit::tools::{PeerRoot, Tier};

use crate::harness::{digest, morsel};
use crate::served::Served;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// An index of three platforms, under the tag `multi`.
struct Multi {
    layout: Layout,
    index: Value,
}

impl Multi {
    fn create(dir: &Path) -> Self {
        let layout = Layout::create(dir);
        let manifests: Vec<_> =
            ["amd64", "arm64", "s390x"].iter().map(|architecture| image(&layout, architecture)).collect();
        let value = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
        let mut index = layout.add_blob(INDEX, value.to_string().as_bytes());
        index["annotations"] = json!({ "org.opencontainers.image.ref.name": "multi" });
        let list = json!({ "schemaVersion": 2, "manifests": [index] });
        fs::write(layout.dir().join("index.json"), list.to_string()).unwrap();
        Self { layout, index }
    }

    fn digest(&self) -> &str {
        digest(&self.index)
    }

    /// Returns the digest of a platform's manifest.
    fn child(&self, number: usize) -> String {
        digest(&self.layout.manifest("multi")["manifests"][number]).to_owned()
    }
}

/// Adds the image of a platform, and describes it as indexes do.
fn image(layout: &Layout, architecture: &str) -> Value {
    let tar = Tar::new().file("architecture", architecture.repeat(1000)).finish();
    let layer = layout.add_blob("application/vnd.oci.image.layer.v1.tar+gzip", &oci::gzip(&tar));
    let config = json!({
        "os": "linux", "architecture": architecture, "config": {},
        "rootfs": { "type": "layers", "diff_ids": [oci::digest(&tar)] },
    });
    let config = layout.add_blob("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] });
    let mut entry = layout.add_blob(MANIFEST, manifest.to_string().as_bytes());
    entry["platform"] = json!({ "os": "linux", "architecture": architecture });
    entry
}

fn get(served: &Served, path: &str) -> Answer {
    exchange(served.address(), &request("GET", path, &[], b""))
}

/// A peer, an image for it, and two registries: one that wants everything and one that wants one platform.
struct Scene {
    dir: tempfile::TempDir,
    root: PeerRoot,
    program: &'static str,
    multi: Multi,
    full: Served,
    sparse: Served,
}

impl Scene {
    fn new(tier: Tier, program: &'static str) -> Option<Self> {
        let root = PeerRoot::find(tier, "sid", program)?;
        let dir = tempfile::tempdir().unwrap();
        let multi = Multi::create(&dir.path().join("multi"));
        let full = Served::start(&dir.path().join("full"), &[]);
        let sparse = Served::start(&dir.path().join("sparse"), &["--index-platforms", "linux/amd64"]);
        Some(Self { dir, root, program, multi, full, sparse })
    }

    fn command(&self, words: &str) -> Command {
        let mut command = self.root.command(self.program, &[self.dir.path()]);
        let (full, sparse) = (self.full.host(), self.sparse.host());
        let words = words.replace("FULL", full).replace("SPARSE", sparse);
        let words = words.replace("DIR", self.dir.path().to_str().unwrap());
        command.args(words.split_whitespace());
        command
    }

    fn run(&self, words: &str) -> String {
        run(&mut self.command(words)).text().to_owned()
    }

    /// Runs what is to fail, and returns what it says.
    fn fails(&self, words: &str) -> String {
        let output = self.command(words).output().unwrap();
        assert!(!output.status.success(), "{words} did not fail");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Pushes one platform and the index to the registry that wants no more.
    fn push_sparse(&self) {
        let copy = |served: &Served, extra: &[&str], tag: &str| {
            let mut skopeo = self.root.command("skopeo", &[self.dir.path()]);
            skopeo.args(["copy", "--insecure-policy", "--dest-tls-verify=false", "--preserve-digests"]);
            let target = format!("docker://{}/app:{tag}", served.host());
            run(skopeo.args(extra).arg(self.multi.layout.reference("multi")).arg(target));
        };
        copy(&self.sparse, &["--override-arch=amd64"], "amd64");
        copy(&self.sparse, &["--multi-arch=index-only"], "multi");
        copy(&self.full, &["--multi-arch=all"], "multi");
    }

    /// Checks that a repository has the index byte for byte, and these children.
    fn has(&self, served: &Served, repository: &str, children: &[usize]) {
        let index = get(served, &format!("/v2/{repository}/manifests/multi"));
        assert_eq!(oci::digest(&index.body), self.multi.digest());
        for child in 0..3 {
            let answer = get(served, &format!("/v2/{repository}/manifests/{}", self.multi.child(child)));
            assert_eq!(answer.status == 200, children.contains(&child), "{child}: {answer:?}");
        }
    }
}

#[test]
fn tool_skopeo_1_22_copies_all_platforms_and_sparse_indexes() {
    let Some(scene) = Scene::new(Tier::Tool, "skopeo") else { return };
    let refused = scene.fails(
        "copy --insecure-policy --dest-tls-verify=false --multi-arch=index-only oci:DIR/multi:multi docker://SPARSE/app:multi",
    );
    assert!(
        refused.contains("lists linux/amd64 as sha256:") && refused.contains("--index-platforms"),
        "{refused}"
    );
    scene.push_sparse();
    scene.has(&scene.full, "app", &[0, 1, 2]);
    scene.has(&scene.sparse, "app", &[0]);

    scene.run("copy --insecure-policy --src-tls-verify=false --multi-arch=all docker://FULL/app:multi oci:DIR/back:multi");
    assert_eq!(
        digest(&Layout::open(scene.dir.path().join("back")).index()["manifests"][0]),
        scene.multi.digest()
    );
    scene.run("copy --insecure-policy --src-tls-verify=false --override-arch=amd64 docker://SPARSE/app:multi oci:DIR/one:1");
    let absent = scene.fails(
        "copy --insecure-policy --src-tls-verify=false --override-arch=s390x docker://SPARSE/app:multi oci:DIR/none:1",
    );
    assert!(absent.contains("lists linux/s390x as") && absent.contains("present: linux/amd64"), "{absent}");
    assert!(!scene.dir.path().join("full/app/blobs/sha256").join(&scene.multi.digest()[7..]).is_symlink());
    let here = scene.run("inspect --raw oci:DIR/full/app:multi");
    assert_eq!(oci::digest(here.as_bytes()), scene.multi.digest(), "what was pushed is a layout");
}

#[test]
fn tool_crane_copies_and_lists() {
    let Some(scene) = Scene::new(Tier::Tool, "crane") else { return };
    scene.push_sparse();
    scene.run("copy --insecure FULL/app:multi FULL/copy:multi");
    scene.has(&scene.full, "copy", &[0, 1, 2]);
    scene.run("pull --insecure --format=oci FULL/copy:multi DIR/pulled");
    scene.run("push --insecure DIR/pulled FULL/again:multi");
    scene.has(&scene.full, "again", &[0, 1, 2]);
    assert_eq!(scene.run("catalog --insecure FULL"), "again\napp\ncopy\n");
    assert_eq!(scene.run("ls --insecure FULL/copy"), "multi\n");
    scene.run("pull --insecure --platform=linux/amd64 SPARSE/app:multi DIR/one.tar");
    let absent = scene.fails("pull --insecure --platform=linux/s390x SPARSE/app:multi DIR/none.tar");
    assert!(absent.contains("lists linux/s390x as") && absent.contains("present: linux/amd64"), "{absent}");
}

#[test]
fn tool_oras_copies_and_attaches() {
    let Some(scene) = Scene::new(Tier::Tool, "oras") else { return };
    scene.push_sparse();
    scene.run("cp --from-plain-http --to-plain-http FULL/app:multi FULL/copy:multi");
    scene.has(&scene.full, "copy", &[0, 1, 2]);
    scene.run("cp --from-plain-http --to-oci-layout --platform linux/amd64 SPARSE/app:multi DIR/one:1");
    fs::write(scene.dir.path().join("note"), "text").unwrap();
    scene.run("attach --plain-http --disable-path-validation --artifact-type x/note FULL/copy:multi DIR/note:text/plain");
    let found = scene.run("discover --plain-http --format json FULL/copy:multi");
    assert!(found.contains("\"x/note\""), "{found}");
    // The children first, then the index by itself: a sparse index from oras.
    let image = scene.multi.layout.blob_path(scene.multi.digest());
    let sparse = format!("manifest push --plain-http SPARSE/pushed:multi {}", image.display());
    let refused = scene.fails(&sparse);
    assert!(refused.contains("lists linux/amd64 as sha256:"), "{refused}");
    scene.run(
        "cp --from-plain-http --to-plain-http --platform linux/amd64 FULL/app:multi SPARSE/pushed:amd64",
    );
    scene.run(&sparse);
    scene.has(&scene.sparse, "pushed", &[0]);
    let absent = scene
        .fails("cp --from-plain-http --to-oci-layout --platform linux/s390x SPARSE/pushed:multi DIR/none:1");
    assert!(absent.contains("not found"), "{absent}");
    scene.run("push --plain-http --disable-path-validation FULL/files:1 DIR/note:text/plain");
    scene.run("manifest delete --plain-http --force FULL/files:1");
    let gone = scene.fails("manifest fetch --plain-http FULL/files:1");
    assert!(gone.contains("not found"), "{gone}");
}

#[test]
fn engine_containerd_2_1_pulls_and_pushes() {
    let Some(scene) = Scene::new(Tier::Engine, "containerd") else { return };
    scene.push_sparse();
    let (full, sparse) = (scene.full.host(), scene.sparse.host());
    let script = format!(
        r#"
        mkdir /tmp/c && cd /tmp/c
        cat > config <<'END'
version = 2
root = "/tmp/c/root"
state = "/tmp/c/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "/tmp/c/socket"
[ttrpc]
address = "/tmp/c/ttrpc"
END
        containerd --config config 2>log &
        for try in $(seq 200); do ctr --address /tmp/c/socket version >/dev/null 2>&1 && break; sleep 0.1; done
        images="ctr --address /tmp/c/socket images"
        fetch="ctr --address /tmp/c/socket content fetch --plain-http --skip-metadata --platform"
        $fetch linux/amd64 {sparse}/app:multi
        $images push --plain-http --platform linux/amd64 {sparse}/copy:multi {sparse}/app:multi
        ! $fetch linux/s390x {sparse}/app:multi || exit 1
        $images pull --plain-http --snapshotter native --all-platforms {full}/app:multi
        $images push --plain-http {full}/copy:multi {full}/app:multi
        "#
    );
    let mut sh = scene.root.command("sh", &[scene.dir.path()]);
    run(sh.args(["-euc", &script]));
    scene.has(&scene.full, "copy", &[0, 1, 2]);
    scene.has(&scene.sparse, "copy", &[0]);
}

#[test]
fn engine_podman_5_8_pulls_in_part_with_many_ranges_and_pushes() {
    let dir = tempfile::tempdir().unwrap();
    let Some(podman) = Podman::start("sid", dir.path()) else { return };
    let served = Served::start(&dir.path().join("served"), &[]);
    let old = (0..200).fold(Tar::new(), |tar, n| tar.file(format!("f{n}"), data::stream(n, 20_000)));
    // Every second file is another one.
    let seed = |n: u64| if n.is_multiple_of(2) { n } else { n + 1000 };
    let new = (0..200).fold(Tar::new(), |tar, n| tar.file(format!("f{n}"), data::stream(seed(n), 20_000)));
    let source = Layout::create(dir.path().join("source"));
    for (tag, tar) in [("old", old.finish()), ("new", new.finish())] {
        source.add_image(tag, oci::Compression::Gzip, &[&tar]);
        let target = format!("docker://{}/app:{tag}", served.host());
        run(morsel().args(["convert", "--quiet", "--tls-verify=false", &source.reference(tag), &target]));
    }

    for tag in ["old", "new"] {
        let pull = podman.pull(&format!("{}/app:{tag}", served.host()));
        assert_eq!(pull.image_id, source.image_id(tag));
    }

    let log = served.log();
    let ranges = |line: &&str| line.contains("\" 206 ") && !line.contains("ranges=1 ");
    let counts: Vec<usize> = log
        .lines()
        .filter(ranges)
        .filter_map(|line| line.split_once("ranges=")?.1.split(' ').next()?.parse().ok())
        .collect();
    assert!(counts.iter().any(|count| *count >= 90), "one request asks for every changed file: {log}");
    assert!(!log.contains("\" 416 ") && !log.contains("\" 500 "), "{log}");

    let mut push = podman.command();
    let names = [format!("{}/app:new", served.host()), format!("docker://{}/pushed:new", served.host())];
    run(push.args(["push", "--tls-verify=false"]).args(names));
    let again = podman.pull(&format!("{}/pushed:new", served.host()));
    assert_eq!(again.image_id, source.image_id("new"));
}

#[test]
fn engine_podman_5_8_pushes_manifest_lists_and_pulls_platforms_of_sparse_indexes() {
    let Some(scene) = Scene::new(Tier::Engine, "podman") else { return };
    let podman = Podman::start("sid", scene.dir.path()).unwrap();
    scene.push_sparse();
    let run_podman = |words: &str| {
        let words = words.replace("FULL", scene.full.host()).replace("SPARSE", scene.sparse.host());
        podman.command().args(words.split_whitespace()).output().unwrap()
    };
    let succeeds = |words: &str| {
        let output = run_podman(words);
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    succeeds("manifest create list");
    succeeds("manifest add --all --tls-verify=false list docker://FULL/app:multi");
    succeeds("manifest push --all --tls-verify=false list docker://FULL/pushed:multi");
    let pushed = get(&scene.full, "/v2/pushed/manifests/multi").json();
    let listed: Vec<_> = pushed["manifests"].as_array().unwrap().iter().map(digest).collect();
    let children = [0, 1, 2].map(|child| scene.multi.child(child));
    assert_eq!(listed, children, "every platform under its own digest");
    assert!(
        children.iter().all(|child| get(&scene.full, &format!("/v2/pushed/manifests/{child}")).status == 200)
    );

    for (platform, place) in [("arm64", "FULL/pushed"), ("s390x", "FULL/app"), ("amd64", "SPARSE/app")] {
        let id =
            succeeds(&format!("pull --quiet --tls-verify=false --platform=linux/{platform} {place}:multi"));
        let found = succeeds(&format!("image inspect --format={{{{.Architecture}}}} {id}"));
        assert_eq!(found, platform);
    }
    let absent = run_podman("pull --quiet --tls-verify=false --platform=linux/s390x SPARSE/app:multi");
    let said = String::from_utf8_lossy(&absent.stderr);
    assert!(!absent.status.success());
    assert!(said.contains("lists linux/s390x as") && said.contains("present: linux/amd64"), "{said}");
}
