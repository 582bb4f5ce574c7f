//! Images that podman runs before their content is here.

use std::process::Command;

use serde_json::Value;
use testkit::data;
use testkit::link::{Link, Proxy, proxy};
use testkit::oci::{Layout, digest};
use testkit::process::run;
use testkit::registry::{Auth, Registry, Setup, push};
use testkit::scripted::Login;
use testkit::tar::Tar;
use testkit::tools::Tier;

use super::{KILL, Scene};

/// What an image is used for that is not here.
const LAZY: &str = "[storage-helper]\nmode = 'lazy'\n";

/// Bytes of the largest file of the image.
const LARGE: usize = 12_000_000;

/// A machine whose engines get their images lazily, and an image in zstd:chunked, over a link that takes seconds for it.
struct Lazy {
    scene: Scene,
    image: String,
    id: String,
    _link: Proxy,
}

impl Lazy {
    fn start() -> Option<Self> {
        let scene = Scene::start("sid")?;
        scene.machine.write("etc/morsel/config.toml", LAZY);
        let link = proxy(scene.registry.host(), Link::of_megabits(20, 5));
        let host = link.address().to_string();
        scene.machine.trust(&host);
        let (name, id) = scene.push("app", &[base(), upper()]);
        let image = scene.convert(&name).replace(scene.registry.host(), &host);
        Some(Self { scene, image, id, _link: link })
    }

    /// Returns what the daemon said of itself at the end of what a script wrote, and what came before.
    fn status<'o>(&self, out: &'o str) -> (&'o str, Value) {
        let (before, status) = out.split_once("== status\n").unwrap();
        (before, serde_json::from_str(status).unwrap())
    }
}

fn base() -> Tar {
    Tar::new().dir("./opt/").file("./opt/base", data::stream(1, 2_000_000)).file("./opt/gone", "")
}

fn upper() -> Tar {
    Tar::new()
        .dir("./opt/")
        .file("./opt/.wh.gone", "")
        .file("./opt/large", data::stream(2, LARGE))
        .file("./opt/name", "app\n")
}

#[test]
fn engine_podman_5_8_runs_what_is_not_here_and_after_a_reboot() {
    let Some(lazy) = Lazy::start() else { return };
    let (image, scene) = (&lazy.image, &lazy.scene);

    let out = scene.machine.sh(&format!(
        "podman run --rm {image} /bin/sh -c 'ls /opt; cat /opt/name' 2>/dev/null
         podman image inspect --format '{{{{.Id}}}}' {image}; echo '== status'; morsel daemon status"
    ));

    let (seen, status) = lazy.status(&out);
    assert_eq!(seen, format!("base\nlarge\nname\napp\n{}\n", lazy.id), "{}", scene.log());
    assert_eq!(scene.layers_of_engines(), [], "{}", scene.log());
    let image_status = &status["images"][0];
    let missing = image_status["len"].as_u64().unwrap() - image_status["len_here"].as_u64().unwrap();
    assert!(missing > LARGE as u64 / 2, "most has not come: {status}");

    // The processes are gone, and the mounts. They come back without the registry, and the rest comes when there is one.
    let out = scene.machine.sh(&format!(
        "! podman run --rm {image} /bin/cat /opt/name 2>/dev/null; morsel doctor podman | grep -c 'not mounted'
         morsel restore -q; podman run --rm {image} /bin/cat /opt/name
         podman run --rm {image} /bin/ls -l /opt/large | wc -l
         morsel wait {image}; morsel detach {image}; ! morsel daemon status 2>/dev/null
         mount | grep -c 'type fuse' || true
         podman run --rm {image} /bin/cat /opt/name; morsel mounts --json"
    ));
    let (seen, mounts) = out.split_at(out.find('[').unwrap());
    assert_eq!(seen, "1\napp\n1\n0\napp\n", "{}", scene.log());
    let mounts: Value = serde_json::from_str(mounts).unwrap();
    let missing = mounts.as_array().unwrap().iter().map(|mount| mount["progress"]["missing_len"].as_u64());
    assert_eq!(missing.collect::<Vec<_>>(), [Some(0); 3]);
    let out = scene.machine.sh(&format!(
        "morsel restore -q; ! morsel daemon status 2>/dev/null; podman run --rm {image} /bin/cat /opt/name; morsel doctor podman >/dev/null"
    ));
    assert_eq!(out, "app\n", "{}", scene.log());
}

/// Two images with the same base, of which one is removed; and one that engines use is not.
#[test]
fn engine_gc_takes_mounts_that_nobody_uses() {
    let Some(lazy) = Lazy::start() else { return };
    let scene = &lazy.scene;
    let (two, _) = scene.push("two", &[base(), Tar::new().file("./two", "two\n")]);
    let (one, two) = (&lazy.image, scene.convert(&two));

    let out = scene.machine.sh(&format!(
        "layers() {{ echo $1 $(mount | grep -c 'ais/mounts/.* type overlay') $(ls /var/lib/morsel/mounts | wc -l); }}
         podman pull -q {one} >/dev/null; podman run -d --name box {one} /bin/sleep 1000 >/dev/null; layers one
         podman run --rm {two} /bin/sh -c 'cat /two; ls /opt' 2>/dev/null; layers both
         morsel rm {one} {two} >/dev/null; morsel gc --grace 0 >/dev/null 2>&1; layers used
         podman rmi {two} >/dev/null; morsel gc --grace 0 >/dev/null 2>&1; layers 'one is used'
         podman exec box /bin/cat /opt/name; podman rm -f -t 0 box >/dev/null; podman rmi {one} >/dev/null
         morsel gc --grace 0 >/dev/null 2>&1; layers none; ls /var/lib/morsel/lazy /var/lib/morsel/chains | grep -c erofs || true
         podman run --rm {one} /bin/cat /opt/name 2>/dev/null; layers again; podman system check"
    ));

    insta::assert_snapshot!(out, @"
    one 3 3
    two
    base
    gone
    both 4 4
    used 4 4
    one is used 3 3
    app
    none 0 0
    0
    app
    again 3 3
    ");
    assert_eq!(scene.layers_of_engines(), [], "{}", scene.log());
}

/// Without a daemon podman goes on; what is missing cannot be read, and that is said at once.
#[test]
fn engine_podman_5_8_goes_on_without_the_daemon() {
    let Some(lazy) = Lazy::start() else { return };
    let (image, scene) = (&lazy.image, &lazy.scene);

    let out = scene.machine.sh(&format!(
        "{KILL} podman run --rm {image} /bin/cat /opt/name 2>/dev/null
         kill_morsel
         podman ps -a >/dev/null; podman images -q | wc -l; podman image inspect {image} >/dev/null
         podman run --rm {image} /bin/cat /opt/name
         ! podman run --rm {image} /bin/cat /opt/large 2>&1 >/dev/null
         podman rmi -f {image} >/dev/null; podman pull -q {image} >/dev/null; podman run --rm {image} /bin/cat /opt/name
         morsel wait {image}; podman run --rm {image} /bin/cat /opt/large | wc -c"
    ));

    assert_eq!(out, format!("app\n1\napp\napp\n{LARGE}\n"), "{}", scene.log());
}

/// Who wants something that mounts cannot do, or has credentials that nobody finds later, gets plain files.
#[test]
fn engine_podman_5_8_gets_plain_files_where_mounts_do_not_do() {
    let Some(lazy) = Lazy::start() else { return };
    let (image, scene) = (&lazy.image, &lazy.scene);
    let own_users = scene
        .machine
        .sh(&format!("podman run --rm --userns=auto {image} /bin/sh -c 'ls /opt; stat -c %u /' 2>/dev/null"));
    assert_eq!(own_users, "base\nlarge\nname\n0\n", "{}", scene.log());
    assert!(scene.log().contains("not as it was wanted: containers with users"), "{}", scene.log());

    assert_eq!(scene.layers_of_engines(), [], "{}", scene.log());

    // Where there is a mount already, it has to go first.
    let (late, _) = scene.push("late", &[Tar::new().file("./name", "late\n")]);
    let late = scene.convert(&late);
    let own_users = format!("podman run --rm --userns=auto {late} /bin/cat /name 2>/tmp/said");
    let out = scene.machine.sh(&format!(
        "podman run --rm {late} /bin/cat /name 2>/dev/null; ! {own_users}; grep -c 'permission denied' /tmp/said
         podman rmi {late} >/dev/null; morsel rm {late} >/dev/null; morsel gc --grace 0 >/dev/null 2>&1; {own_users}"
    ));
    assert_eq!(out, "late\n1\nlate\n", "{}", scene.log());

    let (gzip, _) = scene.push("gzip", &[Tar::new().file("./name", "gzip\n")]);
    let out = scene.machine.sh(&format!("podman run --rm {gzip} /bin/cat /name 2>/dev/null"));
    assert_eq!(out, "gzip\n");
    assert!(scene.log().contains("none of its layers is zstd:chunked"), "{}", scene.log());
}

/// Mounts of what is here altogether need nobody to serve them.
#[test]
fn engine_podman_5_8_runs_mounts_of_what_was_brought_before() {
    let Some(scene) = Scene::start("sid") else { return };
    let (name, id) = scene.push("app", &[base(), Tar::new().file("./opt/name", "app\n")]);

    let out = scene.machine.sh(&format!(
        "morsel publish --layout mounted {name}; podman pull -q {name}; ! morsel daemon status 2>/dev/null
         podman run --rm {name} /bin/sh -c 'cat /opt/name; ls /opt'; mount | grep -c 'ais/mounts'
         podman save -q -o /tmp/saved.tar {name}; podman rmi {name} >/dev/null; podman load -q -i /tmp/saved.tar >/dev/null
         podman image inspect --format '{{{{.Id}}}}' {name}"
    ));

    assert_eq!(out, format!("{id}\napp\nbase\ngone\nname\n3\n{id}\n"), "{}", scene.log());
    assert_eq!(scene.layers_of_engines(), [], "{}", scene.log());
}

/// An image claims to have a layer of another one. It runs, as every file is what its manifest says, until the claim is checked.
#[test]
fn engine_podman_5_8_loses_an_image_that_lies() {
    let Some(scene) = Scene::start("sid") else { return };
    scene.machine.write("etc/morsel/config.toml", LAZY);
    let evil = Tar::new().dir("./opt/").file("./opt/name", "evil\n");
    let (name, _) = scene.push("app", &[evil]);
    let image = scene.convert(&name);
    let copy = Layout::create(scene.dir.path().join("copy"));
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["copy", "-q", "--insecure-policy", "--src-tls-verify=false", "--preserve-digests"]);
    run(skopeo.arg(format!("docker://{image}")).arg(copy.reference("honest")));
    let diff_ids = [&scene.shell, &base().finish()].map(|tar| digest(tar));
    copy.add_manifest("lie", &copy.layers("honest"), &diff_ids);
    let lie = format!("{}/lie", scene.registry.host());
    push(Tier::Engine, &copy, "lie", &lie, &[]).unwrap();

    let out = scene.machine.sh(&format!(
        "podman run --rm {lie}:lie /bin/cat /opt/name 2>/dev/null
         morsel wait {lie}:lie 2>&1 | grep -c quarantine; grep -c ^QUARANTINE /var/lib/morsel/run/log
         podman ps -a -q; podman images -q 2>/dev/null | wc -l; ! podman run --rm {lie}:lie /bin/cat /opt/name 2>/dev/null
         podman rmi -f {lie}:lie >/dev/null; ! podman pull -q {lie}:lie 2>/dev/null; podman run --rm {image} /bin/cat /opt/name 2>/dev/null
         morsel doctor podman >/dev/null"
    ));

    // The right image has the same table of contents, so podman pulls that by itself.
    assert_eq!(out, "evil\n1\n1\n0\nevil\n", "{}", scene.log());
}

/// The daemon fetches with the credentials of `podman login`. What was given on a command line it does not have.
#[test]
fn engine_podman_5_8_logs_in_and_the_daemon_with_it() {
    let Some(scene) = Scene::start("sid") else { return };
    scene.machine.write("etc/morsel/config.toml", LAZY);
    let setup = Setup { auth: Auth::Basic(Login::new("me", "secret word")), ..Setup::default() };
    let dir = scene.dir.path().join("private");
    let Some(private) = Registry::start_as(Tier::Engine, &dir, &setup) else { return };
    scene.machine.trust(private.host());
    let copy = |name: &str| {
        let (open, _) =
            scene.push(name, &[Tar::new().file("./name", name).file("./more", data::stream(3, 500_000))]);
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["copy", "-q", "--insecure-policy", "--src-tls-verify=false", "--dest-tls-verify=false"]);
        skopeo.args(["--preserve-digests", "--dest-creds=me:secret word"]);
        let to = format!("{}/{name}:1", private.host());
        run(skopeo.arg(format!("docker://{}", scene.convert(&open))).arg(format!("docker://{to}")));
        to
    };
    let (one, two) = (copy("one"), copy("two"));

    let out = scene.machine.sh(&format!(
        "podman login -u me -p 'secret word' {} >/dev/null; podman run --rm {one} /bin/cat /name 2>/dev/null; morsel wait {one}",
        private.host()
    ));
    assert_eq!(out, "one", "{}", scene.log());
    assert!(scene.log().contains("content comes when it is read"), "{}", scene.log());

    let out = scene.machine.sh(&format!(
        "podman pull -q --creds 'me:secret word' {two} >/dev/null; podman run --rm {two} /bin/cat /name"
    ));
    assert_eq!(out, "two", "{}", scene.log());
    assert!(scene.log().contains("the registry lets nobody in"), "{}", scene.log());
    assert!(!scene.log().contains("secret"), "{}", scene.log());
}
