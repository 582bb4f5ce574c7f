//! Whatever becomes of us, engines go on.

use std::fmt::Write as _;

use testkit::data;
use testkit::scripted::{Fault, Misdeed, Script, Scripted, Target};
use testkit::tar::Tar;
use testkit::tools::Tier;

use testkit::registry::push;

use super::{KILL, Scene};

/// Runs everything that a person would try, and pulls at the end.
const USE: &str = "podman ps -a >/dev/null; podman images >/dev/null; podman pull -q $image >/dev/null
    podman run --rm $image /bin/cat /opt/name; podman rmi -f $image >/dev/null";

/// What is done to the store or to the files, and whether podman can be used before it pulls.
const FAULTS: [(&str, &str); 15] = [
    ("nothing", ":"),
    ("config broken", "echo 'mode = sometimes' >/etc/morsel/config.toml"),
    ("config fine again", "rm /etc/morsel/config.toml"),
    (
        "a layer planted",
        "sed -i 's/]$/,{\"id\":\"'$(printf 'f%.0s' $(seq 64))'\",\"created\":\"2026-01-01T00:00:00Z\",\"diff-digest\":\"sha256:'$(printf 'f%.0s' $(seq 64))'\",\"diff-size\":3}]/' $ais/overlay-layers/layers.json",
    ),
    ("objects gone", "rm -rf /var/lib/morsel/objects"),
    ("layers half gone", "rm -rf /var/lib/morsel/layers/*/toc"),
    ("store repaired", "morsel fsck --repair -q"),
    ("format gone", "mv /var/lib/morsel/format /var/lib/morsel/of"),
    ("format back", "mv /var/lib/morsel/of /var/lib/morsel/format"),
    ("a directory gone", "rm -rf \"$(ls -d $ais/overlay/*/diff | head -1)\""),
    ("links gone", "rm -f $ais/overlay/l/*"),
    ("tar-splits gone", "rm -f $ais/overlay-layers/*.gz"),
    ("the list gone", "rm -f $ais/overlay-layers/layers.json"),
    ("half of the store gone", "rm -rf $ais/overlay $ais/overlay-images $ais/locks $ais/staging"),
    ("the program gone", "rm /var/lib/morsel/storage-helper"),
];

#[test]
fn engine_podman_5_8_goes_on_whatever_breaks() {
    let Some(scene) = Scene::start("sid") else { return };
    let upper =
        Tar::new().dir("./opt/").file("./opt/name", "app\n").file("./opt/data", data::stream(1, 100_000));
    let (name, _) = scene.push("app", &[upper]);
    let image = scene.convert(&name);
    let mut script = format!("image={image}; ais=/var/lib/morsel/ais\n");
    for (what, fault) in FAULTS {
        let _ = writeln!(script, "echo '== {what}'; {fault}\n{USE}");
    }

    let out = scene.machine.sh(&script);

    let expected: String = FAULTS.iter().map(|(what, _)| format!("== {what}\napp\n")).collect();
    assert_eq!(out, expected, "{}", scene.log());

    // The one thing that podman cannot read over: a list that is no list. The next pull repairs it, and so does `fsck`.
    let script = format!(
        "image={image}; ais=/var/lib/morsel/ais; morsel setup podman; podman pull -q $image >/dev/null
         echo '[{{' >$ais/overlay-layers/layers.json; morsel doctor podman | grep wrong; podman run --rm $image /bin/cat /opt/name
         echo '[{{' >$ais/overlay-layers/layers.json; morsel fsck --repair -q; {USE}
         morsel doctor podman | grep -v ^log | cut -c1-24"
    );
    let out = scene.machine.sh(&script);
    insta::assert_snapshot!(out, @"
    wrong  published layers  a list cannot be read: `/var/lib/morsel/ais/overlay-layers/layers.json` is damaged: EOF while parsing an object at line 2 column 0; `morsel fsck --repair` repairs it
    app
    app
    ok     published layers 
    ok     storage.conf     
    ok     storage helper   
    ok     config.toml      
    ok     podman           
    ok     buildah          
    ok     skopeo           
    ");
}

#[test]
fn engine_podman_5_8_goes_on_when_the_registry_hangs_or_the_disk_is_full() {
    let Some(scene) = Scene::start("sid") else { return };
    let upper =
        Tar::new().dir("./opt/").file("./opt/name", "app\n").file("./opt/data", data::stream(1, 8_000_000));
    let (name, _) = scene.push("app", &[upper]);

    // A store of 6 MB, half of which the layers take.
    let out = scene.machine.sh(&format!(
        "image={name}; mount -t tmpfs -o size=6m full /var/lib/morsel; morsel setup podman; {USE}; tail -1 /var/lib/morsel/helper.log"
    ));
    assert!(out.starts_with("app\n") && out.contains("no space left"), "{out}");

    // The second request for the manifest, which is ours, is never answered.
    let hangs = Fault::new(Target::Manifests, Misdeed::Silence).after(1);
    let hanging = Scripted::start(Script { faults: vec![hangs], ..Script::default() });
    let name = format!("{}/app", hanging.host());
    push(Tier::Engine, &scene.layout, "app", &name, &[]).unwrap();
    scene.machine.trust(&hanging.host());
    scene.machine.write("etc/morsel/config.toml", "[storage-helper]\nwait = 1\n");
    let out = scene.machine.sh(&format!("image={name}:app; {USE}"));
    assert_eq!(out, "app\n", "{}", scene.log());
}

/// Kills all of us at some moment of a pull, again and again, and uses podman after each. `MORSEL_INTERRUPTIONS` says how
/// often; without it, it is few enough times to take half a minute.
fn interrupted(mode: &str) {
    let count = std::env::var("MORSEL_INTERRUPTIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(6);
    let Some(scene) = Scene::start("sid") else { return };
    scene.machine.write("etc/morsel/config.toml", &format!("[storage-helper]\nmode = '{mode}'\n"));
    // What is not here yet cannot be read when nobody serves it, until the next pull.
    let first = if mode == "lazy" { "podman pull -q $image >/dev/null" } else { "podman ps -a >/dev/null" };
    let killed = scene.machine.path("var/lib/morsel/killed");
    let base = Tar::new().dir("./opt/").file("./opt/base", data::stream(1, 2_000_000)).file("./opt/gone", "");
    let upper = Tar::new().dir("./opt/").file("./opt/name", "app\n").file("./opt/.wh.gone", "");
    let (name, _) = scene.push("app", &[base, upper]);
    let image = scene.convert(&name);
    let pull = format!(
        "image={image}
         rm -rf /var/lib/morsel/ais/overlay/* /var/lib/morsel/ais/overlay-layers/*; morsel setup podman 2>/dev/null
         morsel rm $image >/dev/null 2>&1 || true; morsel gc >/dev/null
         podman pull -q $image >/dev/null & pull=$!
         for i in $(seq 300); do grep -qsx morsel /proc/[0-9]*/comm && break || sleep 0.01; done"
    );
    // Milliseconds from when the helper begins until podman has the image: the moments are spread over them. The first pull
    // may take longer than any other, as programs come from the disk.
    let timed = || {
        let out = scene.machine.sh(&format!(
            "{pull}
             begin=$(date +%s%3N); wait $pull; echo $(($(date +%s%3N) - begin))
             podman rmi -f $image >/dev/null"
        ));
        out.trim().parse::<u64>().unwrap()
    };
    let takes = timed().min(timed());
    for round in 0..count {
        let moment = takes.min(1000) * round / count;
        let out = scene.machine.sh(&format!(
            "{KILL} {pull}
             sleep 0.{moment:03}; kill_morsel && echo {round} >>/var/lib/morsel/killed || true
             wait $pull; {first}
             podman run --rm $image /bin/sh -c 'cat /opt/name; ls /opt'
             {USE}
             morsel doctor podman >/dev/null"
        ));
        assert_eq!(out, "app\nbase\nname\napp\n", "round {round}: {}", scene.log());
    }
    let killed = std::fs::read_to_string(killed).unwrap_or_default().lines().count() as u64;
    assert!(killed > count / 4, "only {killed} of {count} pulls were still under way");
}

#[test]
fn engine_podman_5_8_goes_on_when_the_helper_is_killed() {
    interrupted("eager");
}

#[test]
fn engine_podman_5_8_goes_on_when_the_helper_and_the_daemon_are_killed() {
    interrupted("lazy");
}
