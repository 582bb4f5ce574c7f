//! The kit finds the peers, runs them, and leaves nothing behind.

use std::fs;

use morsel_testkit::engine::Podman;
use morsel_testkit::oci::{Compression, Layout};
use morsel_testkit::process::run;
use morsel_testkit::registry::Registry;
use morsel_testkit::tar::sample;
use morsel_testkit::toc;
use morsel_testkit::tools::{self, PeerRoot, Tier};

#[test]
fn tool_a_registry_takes_an_image_and_gives_it_back() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut skopeo) = tools::host(Tier::Tool, "skopeo") else { return };
    let Some(registry) = Registry::start(Tier::Tool, dir.path()) else { return };
    let layout = Layout::create(dir.path().join("image"));
    let id = layout.add_image("latest", Compression::Gzip, &[&sample::rich_tar()]);

    let remote = format!("docker://{}/image:latest", registry.host());
    run(skopeo.args([
        "copy",
        "--insecure-policy",
        "--dest-tls-verify=false",
        &layout.reference("latest"),
        &remote,
    ]));

    let mut skopeo = tools::host(Tier::Tool, "skopeo").unwrap();
    let manifest = run(skopeo.args(["inspect", "--raw", "--tls-verify=false", &remote]));
    assert!(manifest.text().contains(&id), "{}", manifest.text());
}

#[test]
fn root_a_command_in_a_peer_root_writes_only_to_the_directories_it_was_given() {
    let Some(root) = PeerRoot::find(Tier::Root, "sid", "skopeo") else { return };
    let dir = tempfile::tempdir().unwrap();
    let script = format!("id -u; touch /etc/trace /tmp/trace {}/kept", dir.path().display());

    let mut sh = root.command("sh", &[dir.path()]);
    assert_eq!(run(sh.args(["-c", &script])).text(), "0\n");

    assert!(dir.path().join("kept").exists());
    assert!(run(root.command("sh", &[]).args(["-c", "test ! -e /etc/trace"])).stderr.is_empty());
    assert!(fs::read_dir(dir.path()).unwrap().count() == 1);
}

#[test]
fn root_the_rows_of_a_toc_are_read_without_morsel() {
    let Some(root) = PeerRoot::find(Tier::Root, "sid", "skopeo") else { return };
    let dir = tempfile::tempdir().unwrap();
    let source = Layout::create(dir.path().join("gzip"));
    source.add_image("latest", Compression::Gzip, &[&sample::rich_tar()]);
    let target = Layout::open(dir.path().join("chunked"));
    let mut skopeo = root.command("skopeo", &[dir.path()]);
    skopeo.args(["copy", "--insecure-policy", "--dest-compress-format=zstd:chunked"]);
    run(skopeo.args([source.reference("latest"), target.reference("latest")]));

    let layer = &target.layers("latest")[0];
    let rows = toc::rows(&target.blob(layer["digest"].as_str().unwrap()), layer);

    let files = rows.iter().filter(|row| row["type"] != "chunk").count();
    assert_eq!(files, sample::rich().len());
    let chunked: Vec<_> = rows.iter().filter(|row| row["name"] == "./data/chunked").collect();
    assert_eq!(chunked.len(), 4, "three cuts give four chunks: {chunked:?}");
    toc::assert_same_rows(rows.clone(), rows);
}

#[test]
fn engine_podman_does_not_call_a_plain_layer_partial() {
    let dir = tempfile::tempdir().unwrap();
    let Some(podman) = Podman::start("trixie", dir.path()) else { return };
    let Some(mut skopeo) = tools::host(Tier::Engine, "skopeo") else { return };
    let Some(registry) = Registry::start(Tier::Engine, dir.path()) else { return };
    let layout = Layout::create(dir.path().join("image"));
    let id = layout.add_image("latest", Compression::Gzip, &[&sample::rich_tar()]);
    let name = format!("{}/image:latest", registry.host());
    skopeo.args(["copy", "--insecure-policy", "--dest-tls-verify=false", &layout.reference("latest")]);
    run(skopeo.arg(format!("docker://{name}")));

    let pull = podman.pull(&name);

    assert_eq!(pull.image_id, id);
    assert!(!pull.was_partial(layout.layers("latest")[0]["digest"].as_str().unwrap()));
}
