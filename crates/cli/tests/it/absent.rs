//! What is said when a platform is pulled that an index lists and the registry does not have, by peers and by `morsel`.

use std::fs;
use std::path::Path;
use std::process::Command;

use testkit::data;
use testkit::engine::Podman;
use testkit::oci::Layout;
use testkit::registry::{Registry, push};
use testkit::tar::Tar;
use testkit::tools::{PeerRoot, Tier};

use crate::sandbox::Sandbox;

/// A registry with an index of three platforms, one of which it has lost.
struct Scene {
    sandbox: Sandbox,
    registry: Registry,
    index: String,
    absent: String,
}

impl Scene {
    fn new() -> Option<Self> {
        let sandbox = Sandbox::new();
        let registry = Registry::start(Tier::Engine, &sandbox.path("registry"))?;
        let layout = Layout::create(sandbox.path("image"));
        let tars = [1, 2, 3].map(|seed| Tar::new().file("data", data::stream(seed, 1000)).finish());
        let [amd64, arm64, s390x] = [&*tars[0], &*tars[1], &*tars[2]];
        let root = layout.add_platforms(
            "1",
            &[("linux/amd64", &[amd64]), ("linux/arm64/v8", &[arm64]), ("linux/s390x", &[s390x])],
        );
        push(Tier::Engine, &layout, "1", &format!("{}/app", registry.host()), &["--preserve-digests"])?;
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let absent = text(&layout.manifest("1")["manifests"][2]["digest"]);
        let revisions = "registry/registry/docker/registry/v2/repositories/app/_manifests/revisions/sha256";
        fs::remove_dir_all(sandbox.path(revisions).join(&absent[7..])).unwrap();
        Some(Self { sandbox, registry, index: text(&root["digest"]), absent })
    }

    /// Runs what is to fail, and returns what it says, in which names of this run are masked as in the docs.
    fn fails(&self, command: &mut Command) -> String {
        let output = command.output().unwrap();
        assert!(!output.status.success(), "{command:?} did not fail");
        String::from_utf8_lossy(&output.stderr)
            .replace(self.registry.host(), "localhost:5000")
            .replace(&self.absent, "sha256:CHILD")
            .replace(&self.index, "sha256:INDEX")
    }

    /// Runs a command line of the docs in a peer root.
    fn peer(&self, program: &str, options: &str, line: &str) -> Option<String> {
        let root = PeerRoot::find(Tier::Engine, "sid", program)?;
        let mut command = root.command(program, &[]);
        let words = line.replace("localhost:5000", self.registry.host());
        command.args(words.split_whitespace().skip(1)).args(options.split_whitespace());
        Some(self.fails(&mut command))
    }
}

/// What somebody wants to know who could not pull.
const FACTS: [(&str, &str); 6] = [
    ("the digest", "sha256:CHILD"),
    ("the repository", "localhost:5000/app"),
    ("the platform", "linux/s390x"),
    ("the index, and that it lists the platform", "sha256:INDEX lists linux/s390x"),
    ("what is present", "present: linux/amd64, linux/arm64/v8"),
    ("what to do", "`morsel mirror ORIGINAL"),
];

fn facts(said: &str) -> [bool; 6] {
    // A repository is also named by its address.
    let said = said.replace("/v2/", "/");
    FACTS.map(|(_, words)| said.contains(words))
}

/// Returns the commands of the transcript in the docs, and what each says there.
fn transcript() -> Vec<(String, String)> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/mirror.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once("```text\n$ ").unwrap();
    let (block, table) = rest.split_once("```").unwrap();
    for (fact, _) in FACTS {
        assert!(table.contains(&format!("| {fact} |")), "{fact}");
    }
    let part = |part: &str| part.split_once('\n').map(|(line, said)| (line.to_owned(), said.to_owned()));
    block.split("\n$ ").filter_map(part).collect()
}

#[test]
fn engine_peers_say_of_an_absent_platform_what_the_docs_show_and_ours_says_more() {
    let Some(scene) = Scene::new() else { return };
    let Some(podman) = Podman::start("sid", &scene.sandbox.path("")) else { return };
    let mut seen = Vec::new();
    for (line, shown) in transcript() {
        let program = line.split(' ').next().unwrap();
        let said = match program {
            "podman" => {
                let words = line.replace("localhost:5000", scene.registry.host());
                let words = words.split_whitespace().skip(1).chain(["--quiet", "--tls-verify=false"]);
                scene.fails(podman.command().args(words))
            }
            "skopeo" => {
                let options = "--insecure-policy --src-tls-verify=false";
                let Some(said) = scene.peer(program, options, &line) else { return };
                said
            }
            "crane" | "oras" => {
                let options = if program == "crane" { "--insecure" } else { "--from-plain-http" };
                let Some(said) = scene.peer(program, options, &line) else { return };
                said
            }
            _ => {
                let line = line.replace("localhost:5000", scene.registry.host());
                let said = scene.fails(&mut scene.sandbox.command(&line));
                assert_eq!(said, shown);
                said
            }
        };
        let expected = if program == "morsel" { [true; 6] } else { [true, true, false, false, false, false] };
        assert_eq!((facts(&said), facts(&shown)), (expected, expected), "{line}\n{said}");
        seen.push(program.to_owned());
    }
    assert_eq!(seen, ["podman", "skopeo", "skopeo", "crane", "oras", "morsel"]);
}
