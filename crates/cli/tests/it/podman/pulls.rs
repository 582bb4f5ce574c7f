//! Engines find what they pull.

use testkit::data;
use testkit::tar::Tar;

use super::Scene;

/// podman pulls and runs both kinds of images, fetches no layer, and names them as it would have.
fn nothing_is_fetched_by_podman(suite: &str) {
    let Some(scene) = Scene::start(suite) else { return };
    let app =
        Tar::new().dir("./etc/").file("./etc/app", data::stream(1, 300_000)).file("./etc/name", "gzip\n");
    let (gzip, id) = scene.push("gzip", &[app]);
    let other =
        Tar::new().dir("./etc/").file("./etc/app", data::stream(1, 300_000)).file("./etc/name", "chunked\n");
    let (plain, chunked_id) = scene.push("plain", &[other]);
    let chunked = scene.convert(&plain);

    for (name, id, content) in [(&gzip, &id, "gzip"), (&chunked, &chunked_id, "chunked")] {
        let out =
            scene.machine.sh(&format!("podman pull -q {name}; podman run --rm {name} /bin/cat /etc/name"));
        assert_eq!(out, format!("{id}\n{content}\n"), "{}", scene.log());
    }
    assert_eq!(scene.layers_of_engines(), [], "{}", scene.log());
}

#[test]
fn engine_podman_5_8_finds_the_layers() {
    nothing_is_fetched_by_podman("sid");
}

#[test]
fn engine_podman_5_4_finds_the_layers() {
    nothing_is_fetched_by_podman("trixie");
}
