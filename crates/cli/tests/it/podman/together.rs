//! Pulls side by side, and garbage collection between them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use testkit::data;
use testkit::tar::Tar;

use super::Scene;

#[test]
fn engine_20_pulls_at_once_fetch_nothing_twice_and_gc_takes_nothing() {
    pulled_at_once("eager");
}

#[test]
fn engine_20_lazy_pulls_at_once_fetch_nothing_twice_and_gc_takes_nothing() {
    pulled_at_once("lazy");
}

fn pulled_at_once(mode: &str) {
    let Some(scene) = Scene::start("sid") else { return };
    scene.machine.write("etc/morsel/config.toml", &format!("[storage-helper]\nmode = '{mode}'\n"));
    let base = || Tar::new().dir("./opt/").file("./opt/base", data::stream(1, 300_000));
    let app = |seed: u64| Tar::new().dir("./opt/").file("./opt/app", data::stream(seed, 20_000));
    let mut script = "set --\n".to_owned();
    for number in 0..10 {
        let (name, _) = scene.push(&format!("app{number}"), &[base(), app(number + 2)]);
        let image = scene.convert(&name);
        // Twice each.
        let _ =
            writeln!(script, "for i in 1 2; do podman pull -q {image} >/dev/null & set -- \"$@\" $!; done");
    }
    script += "for i in 1 2 3 4 5; do morsel gc --grace 0 >/dev/null; done\n\
               for pull; do wait $pull; done\n\
               for image in $(podman images -q | sort -u); do podman run --rm $image /bin/ls /opt; done";

    let before = scene.registry.requests().len();

    let out = scene.machine.sh(&script);

    assert_eq!(out, "app\nbase\n".repeat(10), "{}", scene.log());
    // A layer is asked for by as many helpers as images have it, and comes once.
    let mut sent: BTreeMap<String, u64> = BTreeMap::new();
    for request in
        scene.registry.requests().into_iter().skip(before).filter(|request| request.method == "GET")
    {
        let digest = request.path.rsplit('/').next().unwrap_or_default().to_owned();
        *sent.entry(digest).or_default() += request.sent;
    }
    for (layer, len) in scene.layers_with_len() {
        let sent = sent.get(&layer).copied().unwrap_or(0);
        assert!(sent <= len + len / 10, "{layer} of {len} bytes took {sent}: {}", scene.log());
    }
    assert_eq!(scene.layers_of_engines(), [], "{}", scene.log());
}

#[test]
fn engine_gc_takes_what_nobody_uses() {
    let Some(scene) = Scene::start("sid") else { return };
    let base = || Tar::new().dir("./opt/").file("./opt/base", "base\n");
    let (one, _) = scene.push("one", &[base(), Tar::new().file("./opt/one", "1")]);
    let (two, _) = scene.push("two", &[base(), Tar::new().file("./opt/two", "2")]);

    let out = scene.machine.sh(&format!(
        "layers() {{ echo $1 $(ls /var/lib/morsel/ais/overlay-layers | grep -c gz); }}
         podman pull -q {one} {two} >/dev/null; layers pulled
         podman rmi -f {two} >/dev/null; morsel gc --grace 0 >/dev/null; layers 'kept for the store'
         morsel rm {one} {two} >/dev/null; morsel gc --grace 0 --dry-run; morsel gc --grace 0 >/dev/null; layers 'kept for podman'
         podman run --rm {one} /bin/cat /opt/base
         podman run -d --name box {one} /bin/sleep 100 >/dev/null; podman rm -f -t 0 box >/dev/null
         podman rmi -f {one} >/dev/null; morsel gc >/dev/null; layers 'asked for just now'
         morsel gc --grace 0 >/dev/null; layers none
         podman run --rm {one} /bin/cat /opt/base 2>/dev/null; layers 'there again'
         morsel setup podman --undo 2>&1 | tail -1
         podman rmi -f {one} >/dev/null; morsel setup podman --undo 2>&1 | tail -1
         find /etc/containers /etc/morsel -name '*morsel*' -o -name storage.conf -o -name config.toml"
    ));

    insta::assert_snapshot!(out, @"
    pulled 4
    kept for the store 4
    would be removed                number     size
    layers                               4
    published layers                     1
    file contents                       18  3.9 MiB
    manifests, indexes and configs       4  2.0 KiB
    kept for podman 3
    base
    asked for just now 3
    none 0
    base
    there again 3
    engines pull by themselves from now on; they still find layers in the store, as their images and containers lie on 3 of them: remove those, then run this again
    engines pull by themselves from now on
    /etc/morsel
    ");
}
