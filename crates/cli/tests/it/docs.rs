//! The pages in `docs/` say what happens: their commands are run, and what they show is compared.
//!
//! In a block marked `console`, a line that starts with `$ ` is a command, and what follows is what it writes to standard
//! output and error. `...` stands for anything. `[exit N]` at the end is the exit code, if it is not 0.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::data;
use testkit::oci::{Compression, Layout};
use testkit::registry::{Registry, push};
use testkit::scripted::{Indexes, Script, Scripted};
use testkit::tar::Tar;
use testkit::tools::{self, Tier};

use crate::mirror::add_image;
use crate::podman::Scene;
use crate::sandbox::{Sandbox, Unmount, testdata};
use crate::served::Served;

#[test]
fn the_map_in_the_readme_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let mut places = Vec::new();
    for row in readme.lines() {
        let quoted: Vec<_> = row.split('`').skip(1).step_by(2).collect();
        let is_whole = |text: &&&str| text.starts_with("crates/") || text.starts_with("scripts/");
        places.extend(quoted.iter().filter(is_whole).map(|text| root.join(text)));
        // The others of a row are below the same `src`.
        let Some((source, _)) = quoted.iter().find_map(|text| text.split_once("/src/")) else { continue };
        let others =
            quoted.iter().filter(|text| !is_whole(text) && (text.ends_with(".rs") || text.ends_with('/')));
        places.extend(others.map(|text| root.join(source).join("src").join(text)));
    }
    assert!(places.len() > 50, "{places:?}");
    let lost: Vec<_> = places.iter().filter(|place| !place.exists()).collect();
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn convert() {
    run_page("convert.md");
}

#[test]
fn inspect() {
    run_page("inspect.md");
}

#[test]
fn estimate() {
    run_page("estimate.md");
}

#[test]
fn mirror() {
    let registry = Scripted::start(Script { indexes: Indexes::None, ..Script::default() });
    run_page_with("mirror.md", &[("localhost:5000", &registry.host())]);
}

#[test]
fn verify() {
    run_page("verify.md");
}

#[test]
fn store() {
    run_page("store.md");
}

#[test]
fn pull() {
    run_page("pull.md");
}

#[test]
fn seeds() {
    run_page("seeds.md");
}

#[test]
fn unpack() {
    run_page("unpack.md");
}

#[test]
fn root_mount() {
    if tools::is_root(Tier::Root) {
        run_page("mount.md");
    }
}

#[test]
fn root_lazy() {
    if tools::is_root(Tier::Root) {
        run_page("lazy.md");
    }
}

#[test]
fn tool_formats() {
    if tools::host(Tier::Tool, "zstd").is_some() {
        run_page("formats.md");
    }
}

#[test]
fn bench() {
    let dir = Sandbox::new();
    let layout = Layout::create(dir.path("registry/app"));
    let tar = Tar::new().file("data", data::stream(1, 1_000_000)).finish();
    layout.add_image("latest", Compression::Gzip, &[&tar]);
    let served = Served::start(&dir.path("registry"), &[]);
    run_page_with("bench.md", &[("localhost:5000", served.host())]);
}

#[test]
fn tool_doctor() {
    let dir = Sandbox::new();
    let Some(registry) = Registry::start(Tier::Tool, &dir.path("")) else { return };
    let layout = Layout::create(dir.path("app"));
    let tar = Tar::new().file("data", data::stream(1, 5_000_000)).finish();
    layout.add_image("latest", Compression::Gzip, &[&tar]);
    if push(Tier::Tool, &layout, "latest", &format!("{}/app", registry.host()), &[]).is_some() {
        run_page_with("doctor.md", &[("localhost:5000", registry.host())]);
    }
}

#[test]
fn tool_serve() {
    if tools::host(Tier::Tool, "curl").is_none() {
        return;
    }
    let dir = Sandbox::new();
    let served = Served::start(&dir.path("registry"), &[]);
    let path = dir.path("registry").display().to_string();
    run_page_with("serve.md", &[("localhost:5000", served.host()), ("/srv/registry", &path)]);
}

#[test]
fn engine_podman() {
    run_engine_page("podman.md");
}

#[test]
fn engine_cri_o() {
    run_engine_page("cri-o.md");
}

/// Runs the commands of a page on a machine with podman, which nobody has set up yet.
fn run_engine_page(name: &str) {
    let Some(scene) = Scene::bare("sid") else { return };
    let layer = |name: &str| Tar::new().dir("./etc/").file("./etc/name", format!("{name}\n"));
    scene.push_as("app", "1", &[layer("app")]);
    scene.push_as("other", "1", &[layer("other")]);
    let (large, _) = scene.push_as("large", "gzip", &[layer("large")]);
    scene.convert_as(&large, &large.replace(":gzip", ":1"));
    check_page(name, &[("registry.example", scene.registry.host())], |line| {
        let output = scene.machine.output(&format!("{{ {line}\n}} 2>&1"));
        let written = String::from_utf8(output.stdout).unwrap();
        match output.status.code() {
            Some(0) => written,
            code => format!("{written}[exit {}]\n", code.unwrap_or_default()),
        }
    });
    // What a page shows of `config.toml` is understood.
    let page = fs::read_to_string(docs().join(name)).unwrap();
    for config in page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
        scene.machine.write("etc/morsel/config.toml", config);
        let doctor = scene.machine.output("morsel doctor podman").stdout;
        assert!(String::from_utf8_lossy(&doctor).contains("config.toml       is understood"), "{config}");
    }
}

#[test]
fn links_lead_somewhere() {
    for page in fs::read_dir(docs()).unwrap() {
        let text = fs::read_to_string(page.unwrap().path()).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap();
            assert!(file.starts_with("https:") || docs().join(file).is_file(), "{link}");
        }
    }
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// Runs the commands of a page, one after another, beside an image and its only layer, and one for several platforms.
fn run_page(name: &str) {
    run_page_with(name, &[]);
}

/// The same with words of the page replaced by what they are here.
fn run_page_with(name: &str, words: &[(&str, &str)]) {
    let sandbox = Sandbox::new();
    let _mount = Unmount(sandbox.path("").canonicalize().unwrap().join("rootfs"));
    let layout = Layout::open(testdata("image"));
    let layer = layout.blob(layout.layers("latest")[0]["digest"].as_str().unwrap());
    sandbox.write("layer.tar.gz", layer);
    std::os::unix::fs::symlink(layout.dir(), sandbox.path("image")).unwrap();
    shell(&sandbox, "gzip -dk layer.tar.gz");
    add_image(&Layout::create(sandbox.path("multi")), "1", 10_000);

    check_page(name, words, |line| shell(&sandbox, line));
}

/// Runs the commands of a page, with words of it replaced, and compares what they write.
fn check_page(name: &str, words: &[(&str, &str)], run: impl Fn(&str) -> String) {
    let page = fs::read_to_string(docs().join(name)).unwrap();
    let page = words.iter().fold(page, |page, (word, here)| page.replace(word, here));
    let commands = page
        .split("```console\n")
        .skip(1)
        .flat_map(|rest| rest.split("```").next().unwrap().split("$ ").skip(1).collect::<Vec<_>>());
    let mut count = 0;
    for command in commands {
        let (line, expected) = command.split_once('\n').unwrap();
        let written = run(line);
        assert!(fits(&written, expected), "{name} says of `{line}`:\n{expected}\nbut it wrote:\n{written}");
        count += 1;
    }
    assert!(count > 0, "{name} has no commands");
}

/// Runs a command line, and returns what it wrote, with its exit code if that is not 0.
fn shell(sandbox: &Sandbox, line: &str) -> String {
    let folder = Path::new(env!("CARGO_BIN_EXE_morsel")).parent().unwrap().display();
    let script = format!("PATH={folder}:$PATH; set -o pipefail; {{ {line}\n}} 2>&1");
    let cache = sandbox.path(".cache");
    let mut bash = Command::new("bash");
    bash.args(["-c", &script]).current_dir(sandbox.path("")).env("XDG_CACHE_HOME", cache);
    let output = bash.output().unwrap();
    let written = String::from_utf8(output.stdout).unwrap();
    match output.status.code() {
        Some(0) => written,
        code => format!("{written}[exit {}]\n", code.unwrap()),
    }
}

/// Tells whether a text is as expected, where `...` stands for anything.
fn fits(text: &str, expected: &str) -> bool {
    let (text, expected) = (text.trim_end(), expected.trim_end());
    let mut parts = expected.split("...");
    let Some(mut rest) = parts.next().and_then(|start| text.strip_prefix(start)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

#[test]
fn dots_stand_for_anything() {
    assert!(fits("a\nb\nc\n", "a\n...\nc"));
    assert!(fits("a b c\n", "a ... c\n"));
    assert!(fits("a\n", "a\n"));
    assert!(!fits("a\nb\n", "a\n"));
    assert!(!fits("a\nb\n", "a\n...\nc\n"));
    assert!(!fits("xa\n", "a...\n"));
}
