//! Engines find what they pull.

use testkit::access_log::Access;
use testkit::data;
use testkit::oci::Compression;
use testkit::registry::{Auth, Registry, Setup, push};
use testkit::scripted::Login;
use testkit::tar::{Member, Tar};
use testkit::tools::Tier;

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

/// podman of Debian 12 does not call the helper, and finds what was published before.
#[test]
fn engine_podman_4_3_finds_what_was_published() {
    let Some(scene) = Scene::start("bookworm") else { return };
    let upper = Tar::new().dir("./etc/").file("./etc/name", "published\n").file("./etc/.wh.passwd", "");
    let (name, id) = scene.push("app", &[upper]);

    let out = scene.machine.sh(&format!(
        "morsel publish -q {name}; podman pull -q {name}
         podman run --rm {name} /bin/sh -c 'cat /etc/name; ls /etc/passwd || true' 2>/dev/null
         podman save -q -o /tmp/saved.tar {name}; podman rmi -f {name} >/dev/null; podman load -q -i /tmp/saved.tar >/dev/null"
    ));

    assert_eq!(out, format!("{id}\npublished\n"));
    assert_eq!(scene.layers_of_engines(), []);
}

/// The requests for layers, of whoever, that the log has beyond the first `before`.
fn layer_requests(scene: &Scene, before: usize) -> Vec<String> {
    let layers = scene.layers();
    let requests = scene.registry.requests().into_iter().skip(before);
    let paths = requests.filter(|request| request.method == "GET").map(|request| request.path);
    paths.filter(|path| layers.iter().any(|layer| path.ends_with(layer.as_str()))).collect()
}

/// Everything that takes one registry and one machine, as setting them up takes longer than the rest.
#[test]
fn engine_podman_5_8_pulls_whatever_there_is() {
    let Some(scene) = Scene::start("sid") else { return };
    shared_layers_come_once(&scene);
    a_top_layer_may_delete_most_of_the_base(&scene);
    platforms_are_chosen_as_podman_does(&scene);
    short_names_and_mirrors_lead_there(&scene);
    skopeo_and_buildah_find_the_layers(&scene);
    assert_eq!(scene.layers_of_engines(), [], "{}", scene.log());
    looking_costs_nothing(&scene);
}

fn shared_layers_come_once(scene: &Scene) {
    let base = || Tar::new().dir("./opt/").file("./opt/base", data::stream(2, 200_000));
    let app = |seed| Tar::new().dir("./opt/").file("./opt/app", data::stream(seed, 50_000));
    let (one, _) = scene.push("one", &[base(), app(3)]);
    let (two, id) = scene.push("two", &[base(), app(4)]);
    scene.machine.sh(&format!("podman pull -q {one}"));
    let before = scene.registry.requests().len();

    let out = scene.machine.sh(&format!("podman pull -q {two}; podman run --rm {two} /bin/ls /opt"));

    assert_eq!(out, format!("{id}\napp\nbase\n"));
    let fetched = layer_requests(scene, before);
    assert!(fetched.iter().all(|path| path == &fetched[0]), "only the upper layer: {fetched:?}");
}

fn a_top_layer_may_delete_most_of_the_base(scene: &Scene) {
    let base = (0..200).fold(Tar::new().dir("./opt/").dir("./srv/").dir("./srv/deep/"), |tar, number| {
        tar.file(format!("./opt/{number}"), "x").file(format!("./srv/deep/{number}"), "y")
    });
    let top =
        (1..200).fold(Tar::new().dir("./opt/"), |tar, number| tar.file(format!("./opt/.wh.{number}"), ""));
    let (name, _) = scene.push("deleted", &[base, top.file("./.wh.srv", "")]);
    let chunked = scene.convert(&name);

    let out = scene
        .machine
        .sh(&format!("podman run --rm {chunked} /bin/sh -c 'ls /opt; ls -d /srv || true' 2>/dev/null"));

    assert_eq!(out, "0\n");
}

fn platforms_are_chosen_as_podman_does(scene: &Scene) {
    let tar = |text: &str| Tar::new().file("./platform", text).finish();
    let (ours, other) = (tar("ours"), tar("other"));
    let images: [(&str, &[&[u8]]); 2] =
        [("linux/amd64", &[&scene.shell, &ours]), ("linux/arm64/v8", &[&scene.shell, &other])];
    scene.layout.add_platforms("multi", &images);
    let name = format!("{}/multi", scene.registry.host());
    push(Tier::Engine, &scene.layout, "multi", &name, &[]).unwrap();
    let digest = scene
        .machine
        .sh(&format!("skopeo inspect --tls-verify=false docker://{name}:multi --format '{{{{.Digest}}}}'"));

    let out = scene.machine.sh(&format!(
        "podman run --rm {name}:multi /bin/cat /platform 2>/dev/null; echo
         podman run --rm {name}@{digest} /bin/cat /platform 2>/dev/null; echo
         podman run --rm --platform linux/arm64 {name}:multi /bin/cat /platform 2>/dev/null",
        digest = digest.trim()
    ));

    assert_eq!(out, "ours\nours\nother");
}

fn short_names_and_mirrors_lead_there(scene: &Scene) {
    let (name, id) = scene.push("mirrored", &[Tar::new().file("./m", "m")]);
    let host = scene.registry.host();
    let text = format!(
        "[[registry]]\nprefix = \"upstream.example\"\nlocation = \"upstream.example\"\n\
         [[registry.mirror]]\nlocation = \"{host}\"\ninsecure = true\n\
         [aliases]\n\"short\" = \"{host}/mirrored\"\n"
    );
    scene.machine.write("etc/containers/registries.conf.d/20-test.conf", &text);
    let tag = name.rsplit(':').next().unwrap();

    let out = scene
        .machine
        .sh(&format!("podman pull -q upstream.example/mirrored:{tag}; podman pull -q short:{tag}"));

    assert_eq!(out, format!("{id}\n{id}\n"));
}

fn skopeo_and_buildah_find_the_layers(scene: &Scene) {
    let (one, id) = scene.push("skopeo", &[Tar::new().file("./s", "s")]);
    let (two, _) = scene.push("buildah", &[Tar::new().file("./b", "b")]);

    let out = scene.machine.sh(&format!(
        "skopeo copy -q docker://{one} containers-storage:{one}; podman image inspect --format '{{{{.Id}}}}' {one}
         box=$(buildah from -q {two}); buildah run --isolation chroot $box /bin/cat /b"
    ));

    assert_eq!(out, format!("{id}\nb"));
}

fn looking_costs_nothing(scene: &Scene) {
    let (name, _) = scene.push("looked-at", &[Tar::new().file("./l", data::stream(9, 10_000))]);
    let multi = format!("{}/multi:multi", scene.registry.host());
    let before = scene.registry.requests().len();

    scene.machine.sh(&format!(
        "skopeo inspect docker://{name}; podman manifest inspect {multi} >/dev/null; skopeo copy -q docker://{name} oci:/tmp/l:l"
    ));

    let ours = scene
        .registry
        .requests()
        .into_iter()
        .skip(before)
        .filter(|request| request.agent.starts_with("morsel"));
    assert_eq!(ours.count(), 0, "{}", scene.log());
}

#[test]
fn engine_podman_5_8_logs_in() {
    let Some(scene) = Scene::start("sid") else { return };
    let dir = scene.dir.path().join("private");
    let setup = Setup { auth: Auth::Basic(Login::new("me", "secret word")), ..Setup::default() };
    let Some(private) = Registry::start_as(Tier::Engine, &dir, &setup) else { return };
    scene.machine.trust(private.host());
    let id = scene.layout.add_image("private", Compression::Gzip, &[&scene.shell]);
    let name = format!("{}/private", private.host());
    push(Tier::Engine, &scene.layout, "private", &name, &["--dest-creds", "me:secret word"]).unwrap();

    let script = format!(
        "podman login -u me -p 'secret word' {} >/dev/null; podman pull -q {name}:private",
        private.host()
    );
    let out = scene.machine.sh(&script);

    assert_eq!(format!("sha256:{}", out.trim()), id);
    let engine = |access: &Access| access.agent.starts_with("containers") && access.path.contains("/blobs/");
    let layers: Vec<_> = private
        .requests()
        .into_iter()
        .filter(|a| engine(a) && a.method == "GET" && a.sent > 10_000)
        .collect();
    assert_eq!(layers, [], "{}", scene.log());
    assert!(!scene.log().contains("secret"), "{}", scene.log());
}

/// Rootless podman, with files of its own; and users who have none notice nothing of what root set up.
#[test]
fn engine_podman_5_8_works_for_users() {
    let Some(scene) = Scene::start("sid") else { return };
    let upper = Tar::new()
        .dir("./opt/")
        .file("./opt/.wh.gone", "")
        .member(Member::file("./opt/owned", "x").owner(33, 34));
    let (name, id) = scene.push("user", &[Tar::new().dir("./opt/").file("./opt/gone", ""), upper]);
    let chunked = scene.convert(&name);
    scene.machine.sh(&format!("podman pull -q {name}"));

    let out = scene.machine.sh_as_user(&format!(
        "podman images -q
         podman info --format '{{{{.Store.GraphRoot}}}} {{{{.Store.GraphOptions}}}}'
         morsel setup podman
         podman pull -q {chunked}
         podman run --rm {chunked} /bin/sh -c 'ls /opt; stat -c \"%u %g\" /opt/owned /'"
    ));

    let expected = format!("/home/user/.local/share/containers/storage map[]\n{id}\nowned\n33 34\n0 0\n");
    assert_eq!(out, expected);
    assert_eq!(scene.layers_of_engines(), [], "{}", scene.log());
    scene.machine.sh_as_user(
        "podman rmi -af >/dev/null; morsel setup podman --undo; ! find .config/containers -name '*.conf' | grep .",
    );
}

/// Layers that appear while podman pulls them by itself would be in its way.
#[test]
fn engine_podman_5_8_does_not_wait_and_finds_the_layers_the_next_time() {
    let Some(scene) = Scene::start("sid") else { return };
    let (name, id) = scene.push("app", &[Tar::new().file("./name", data::stream(1, 1_000_000))]);
    let image = scene.convert(&name);
    let config = |wait: u64| format!("[storage-helper]\nwait = {wait}\n");
    scene.machine.write("etc/morsel/config.toml", &config(0));

    let out = scene.machine.sh(&format!(
        "podman pull -q {image}; while grep -qsx morsel /proc/[0-9]*/comm; do sleep 0.1; done
         cat /var/lib/morsel/ais/overlay-layers/layers.json; podman system check"
    ));
    assert_eq!(out, format!("{id}\n[]"), "{}", scene.log());
    assert!(scene.log().contains("does not wait"), "{}", scene.log());

    scene.machine.write("etc/morsel/config.toml", &config(60));
    let before = scene.registry.requests().len();
    let out = scene.machine.sh(&format!("podman rmi -f {image} >/dev/null; podman pull -q {image}"));
    assert_eq!(out, format!("{id}\n"), "{}", scene.log());
    assert_eq!(layer_requests(&scene, before), Vec::<String>::new(), "{}", scene.log());
}
