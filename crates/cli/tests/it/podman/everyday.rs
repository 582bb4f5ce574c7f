//! What people do with an image all day, with one whose layers were published.

use testkit::tar::{Member, Tar};

use super::Scene;

/// An upper layer that removes, replaces and adds.
fn upper() -> Tar {
    Tar::new()
        .dir("./opt/")
        .file("./opt/new", "new\n")
        .file("./opt/.wh.gone", "")
        .dir("./opt/hidden/")
        .file("./opt/hidden/.wh..wh..opq", "")
        .file("./opt/hidden/own", "own\n")
        .member(Member::file("./opt/owned", "x").owner(33, 34))
}

fn base() -> Tar {
    Tar::new()
        .dir("./opt/")
        .file("./opt/gone", "gone\n")
        .dir("./opt/hidden/")
        .file("./opt/hidden/below", "below\n")
        .file("./opt/stays", "stays\n")
}

/// One image, and most of what people do with one.
const DAY: &str = r#"
image=$1; mark() { echo "== $*"; }
run() { podman run --rm "$@"; }
mark run; run $image /bin/sh -c 'ls /opt; cat /opt/hidden/own; stat -c "%u %g" /opt/owned'
mark read-only; run --read-only $image /bin/sh -c 'touch /x 2>/dev/null || echo refused'
mark uidmap; run --uidmap 0:100000:65536 $image /bin/sh -c 'stat -c %u / /opt/owned; touch /opt/x; cat /opt/stays'
mark userns; run --userns=auto $image /bin/sh -c 'stat -c %u / /opt/owned; touch /opt/x; cat /opt/stays'
mark exec; podman run -d --name box $image /bin/sleep 1000 >/dev/null
podman exec box /bin/sh -c 'echo more >/opt/more; rm /opt/stays; cat /opt/more'
mark diff; podman diff box | sort
mark commit; podman commit -q box committed >/dev/null; run committed /bin/sh -c 'ls /opt'
podman rm -f -t 0 box >/dev/null
mark tag; podman tag $image other:1; run other:1 /bin/cat /opt/new; podman untag $image other:1
mark history; podman history -q $image | wc -l
mark inspect; podman image inspect --format '{{len .RootFS.Layers}}' $image
mark image-diff; podman image diff $image | sort
mark tree; podman image tree $image | grep -c 'ID:'
mark build; mkdir /tmp/build; printf "FROM $image\nRUN echo built >/opt/built && rm /opt/new\n" >/tmp/build/Containerfile
podman build -q --network=none -t built /tmp/build >/dev/null; run built /bin/sh -c 'ls /opt'
mark save; podman save -q -o /tmp/saved.tar $image; podman save -q --format oci-archive -o /tmp/built.tar built
mark push; for name in $image committed built; do
    podman push -q $name $2/pushed:$(basename $name | tr : -)
done
mark rmi; podman rmi -a -f >/dev/null; podman images -q
mark load; podman load -q -i /tmp/saved.tar >/dev/null; podman image inspect --format '{{.Id}}' $image
run $image /bin/cat /opt/stays
mark pull-always; run --pull=always $image /bin/cat /opt/new 2>/dev/null
mark by-digest; digest=$(podman image inspect --format '{{.Digest}}' $image)
podman rmi -f $image >/dev/null; run ${image%:*}@$digest /bin/cat /opt/new 2>/dev/null
mark prune; podman system prune -af >/dev/null; podman images -q
mark check; podman system check
"#;

/// The same with mounts, which only root of the machine can use as they are.
#[test]
fn engine_podman_5_8_has_a_normal_day_with_mounts() {
    let Some(scene) = Scene::start("sid") else { return };
    scene.machine.write("etc/morsel/config.toml", "[storage-helper]\nmode = 'lazy'\n");
    let (name, id) = scene.push("day", &[base(), upper()]);
    let image = scene.convert(&name);
    let host = scene.registry.host();
    // podman compares whole trees then, and finds more than the marks of overlayfs tell it.
    let differs = ["mark uidmap", "mark userns", "mark image-diff"];
    let day: Vec<_> = DAY.lines().filter(|line| !differs.iter().any(|mark| line.starts_with(mark))).collect();
    let script = format!("set -- {image} {host}; podman pull -q {image} >/dev/null\n{}", day.join("\n"));

    let through_us = scene.machine.sh(&script);
    assert_eq!(scene.layers_of_engines(), [], "{}", scene.log());
    assert!(scene.log().contains("now as mounts"), "{}", scene.log());

    let by_itself = scene.another_machine("sid").sh(&script);
    assert_eq!(through_us, by_itself, "{}", scene.log());
    assert!(through_us.contains(&format!("== load\n{id}\n")), "{through_us}");
    let diff = scene
        .machine
        .sh(&format!("morsel restore -q; podman pull -q {image} >/dev/null; podman image diff {image}"));
    assert_eq!(diff.lines().count(), 7, "{diff}");
}

/// podman says the same in every case, whether it pulled by itself or through us.
#[test]
fn engine_podman_5_8_has_a_normal_day() {
    let Some(scene) = Scene::start("sid") else { return };
    let (name, id) = scene.push("day", &[base(), upper()]);
    let image = scene.convert(&name);
    let host = scene.registry.host();
    let script = format!("set -- {image} {host}; podman pull -q {image} >/dev/null\n{DAY}");

    let through_us = scene.machine.sh(&script);
    assert_eq!(scene.layers_of_engines(), [], "{}", scene.log());

    let by_itself = scene.another_machine("sid").sh(&script);
    assert_ne!(scene.layers_of_engines(), []);
    assert_eq!(through_us, by_itself, "{}", scene.log());
    assert!(through_us.contains(&format!("== load\n{id}\n")), "{through_us}");
}
