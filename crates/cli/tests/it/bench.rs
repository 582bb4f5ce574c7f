//! `morsel bench`: what it measures is not asserted on, but that everything is there, and adds up.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use testkit::data;
use testkit::oci::{Compression, Layout};
use testkit::scripted::{Ranges, Script, Scripted};
use testkit::tar::{Member, Tar};
use testkit::tools::{self, PeerRoot, Tier};

use crate::sandbox::Sandbox;

/// An image before and after an update of one of its files.
fn images(sandbox: &Sandbox) {
    let layout = Layout::create(sandbox.path("images"));
    for (tag, seed) in [("old", 1), ("new", 2)] {
        let tar = Tar::new()
            .file("bin/program", data::text(7, 100_000))
            .file("lib/large", data::stream(3, 1_000_000))
            .file("lib/changed", data::stream(seed, 200_000))
            .finish();
        layout.add_image(tag, Compression::Gzip, &[&tar]);
    }
}

fn bench(sandbox: &Sandbox, options: &str) -> Value {
    let line = format!(
        "morsel bench pull oci:images:new --from oci:images:old --keep-caches --json --quiet {options}"
    );
    serde_json::from_slice(&sandbox.stdout(&line)).unwrap()
}

/// Returns what a command that fails says.
fn failure(sandbox: &Sandbox, line: &str) -> String {
    let output = sandbox.output(line);
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn every_strategy_is_measured_in_every_phase() {
    let sandbox = Sandbox::new();
    images(&sandbox);
    let strategies = "--strategy stream --strategy one-range --read bin/program";
    let report = bench(&sandbox, &format!("{strategies} --link none --runs 2"));
    let runs = report["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2 * (2 + 2 + 1));
    let summaries = report["summaries"].as_array().unwrap();
    assert_eq!(summaries.len(), 2 + 2 + 1);
    for run in runs {
        let received = run["received"].as_u64().unwrap();
        let answers: u64 =
            run["asked"].as_array().unwrap().iter().map(|asked| asked["bytes"].as_u64().unwrap()).sum();
        assert!(received > answers, "heads of answers come with them");
        assert_eq!(run["timeline"].as_array().unwrap().last().unwrap()[1], received);
        let (phase, stream) = (run["phase"].as_str().unwrap(), run["contender"] == 0);
        match phase {
            "cold" => assert!(received > 1_200_000),
            "update" if stream => {
                assert!(received > 1_200_000 && run["receipt"]["wasted"].as_u64() > Some(1_000_000))
            }
            "update" => assert!((200_000..400_000).contains(&received), "{received}"),
            _ => assert!(received < 10_000),
        }
    }
}

#[test]
fn a_registry_without_many_ranges_is_asked_otherwise() {
    let sandbox = Sandbox::new();
    images(&sandbox);
    for ranges in ["one-or-nothing", "none"] {
        let report =
            bench(&sandbox, &format!("--strategy many-ranges --link none --runs 1 --ranges {ranges}"));
        let update = report["runs"].as_array().unwrap().iter().find(|run| run["phase"] == "update").unwrap();
        let most =
            update["asked"].as_array().unwrap().iter().map(|asked| asked["ranges"].as_u64().unwrap()).max();
        assert!(most <= Some(1), "the pull before has taught it");
        assert_eq!(update["received"].as_u64() > Some(1_200_000), ranges == "none");
    }
}

#[test]
fn root_a_command_makes_an_image_ready() {
    let sandbox = Sandbox::new();
    if !tools::is_root(Tier::Root) {
        return;
    }
    let layout = Layout::create(sandbox.path("images"));
    let shell = fs::read("/bin/sh").unwrap();
    let tar = Tar::new()
        .member(Member::file("bin/sh", shell).mode(0o755))
        .file("data", data::stream(1, 100_000))
        .finish();
    layout.add_image("new", Compression::Gzip, &[&tar]);
    let line = "morsel bench pull oci:images:new --keep-caches --quiet --link none --runs 1 --strategy stream --run exit";
    // Without its libraries the shell does not even start, which is told.
    let said = failure(&sandbox, line);
    assert!(said.contains("cannot run `exit` in the image"), "{said}");
}

#[test]
fn engine_peers_are_measured_beside_and_soci_fetches_what_is_read() {
    let sandbox = Sandbox::new();
    if PeerRoot::find(Tier::Engine, "sid", "soci").is_none() {
        return;
    }
    // Of a layer of less than 10 MiB soci makes no index.
    let layout = Layout::create(sandbox.path("images"));
    for (tag, seed) in [("old", 1), ("new", 2)] {
        let large = data::stream(seed, 24_000_000);
        let tar = Tar::new().file("bin/program", data::text(7, 100_000)).file("lib/large", large).finish();
        layout.add_image(tag, Compression::Gzip, &[&tar]);
    }
    let (work, folder) = (sandbox.path("work"), sandbox.path("bin"));
    fs::create_dir(&work).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/peers-on-path");
    let made = Command::new(script).args(["sid".as_ref(), &*folder, &work]).status().unwrap();
    assert!(made.success());
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let line = "morsel bench pull oci:images:new --from oci:images:old --peers --work work --keep-caches --json --quiet \
        --strategy stream --read bin/program --link none --runs 1";
    let output = sandbox.command(line).env("PATH", path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["notes"], Value::Array(Vec::new()));
    let names: Vec<_> = report["contenders"].as_array().unwrap().iter().map(|about| &about["name"]).collect();
    let runs = report["runs"].as_array().unwrap();
    assert_eq!((names.len(), runs.len()), (8, 3 * 8), "{names:?}");
    for run in runs.iter().filter(|run| run["contender"] == names.len() - 1) {
        // A span of 4 MiB of the tar that has the program, each time.
        let received = run["received"].as_u64().unwrap();
        assert!((4_000_000..8_000_000).contains(&received), "{received} in {}", run["phase"]);
        assert!(run["ready"].as_f64() >= run["wall"].as_f64());
    }
}

#[test]
fn a_link_that_is_none_is_refused() {
    let output = Sandbox::new().output("morsel bench pull --link 100Mbit");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("expected a rate and a round trip"));
}

/// Opens a page in a browser, and returns what it made of it, and what it had to say.
fn browse(browser: &mut Command, page: &Path, options: &[&str]) -> (String, String) {
    browser.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--enable-logging=stderr",
        "--v=0",
    ]);
    let home = page.with_extension("home");
    let output =
        browser.arg(format!("--user-data-dir={}", home.display())).args(options).arg(page).output().unwrap();
    assert!(output.status.success());
    (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn tool_a_browser_draws_the_page() {
    let sandbox = Sandbox::new();
    if tools::host(Tier::Tool, "chromium").is_none() {
        return;
    }
    images(&sandbox);
    bench(&sandbox, "--strategy stream --strategy many-ranges --link 1Gbit,1ms --runs 1 --html page.html");
    let page = sandbox.path("page.html");
    for (width, scheme) in [(400, 0), (1600, 1)] {
        let chromium = || tools::host(Tier::Tool, "chromium").unwrap();
        // The second is the scheme: 0 is dark.
        let scheme = format!("--blink-settings=preferredColorScheme={scheme}");
        let size = format!("--window-size={width},2000");
        let (dom, said) = browse(&mut chromium(), &page, &[&scheme, &size, "--dump-dom"]);
        assert!(!said.contains("CONSOLE"), "{said}");
        let count = |what| dom.matches(what).count();
        // Times and bytes of cold pulls, updates and repeated pulls; a line for each of the first two, in both ways.
        assert_eq!((count("<figure"), count("<polyline")), (2 * 3 + 2, 2 * 2));
        assert!(count("<rect") >= 2 * (2 + 2 + 1) && !dom.contains("NaN"));
        let shot = sandbox.path("page.png");
        browse(&mut chromium(), &page, &[&scheme, &size, &format!("--screenshot={}", shot.display())]);
        // A picture with nothing in it is far smaller.
        assert!(fs::metadata(shot).unwrap().len() > 40_000);
    }
}

#[test]
fn a_registry_without_ranges_is_measured_by_what_it_serves() {
    let sandbox = Sandbox::new();
    images(&sandbox);
    let registry = Scripted::start(Script { ranges: Ranges::IgnoresAll, ..Script::default() });
    registry.add_layout("app", &Layout::open(sandbox.path("images")));
    let line = format!("morsel bench registry {}/app:new --json --bytes 4M --seconds 2", registry.host());
    let report: Value = serde_json::from_slice(&sandbox.stdout(&line)).unwrap();
    assert_eq!(report["ranges"]["serves"], "whole", "{report}");
    assert_eq!(report["connections"].as_array().unwrap().len(), 1);
}

#[test]
fn root_what_an_image_names_is_read_if_it_is_a_file() {
    let sandbox = Sandbox::new();
    if !tools::is_root(Tier::Root) {
        return;
    }
    let layout = Layout::create(sandbox.path("images"));
    let tar = Tar::new().member(Member::fifo("bin/program")).finish();
    layout.add_image("new", Compression::Gzip, &[&tar]);
    let line = "morsel bench pull oci:images:new --keep-caches --runs 1 --strategy stream --link none --read bin/program";
    let error = failure(&sandbox, line);
    assert!(error.contains("`bin/program` in the image is not a regular file"), "{error}");
}

#[test]
fn a_page_that_cannot_be_written_is_told_before_anything_is_pulled() {
    let sandbox = Sandbox::new();
    let error = failure(&sandbox, "morsel bench pull oci:images:new --html nowhere/page.html");
    assert!(error.contains("cannot write `nowhere/page.html`"), "{error}");
}
