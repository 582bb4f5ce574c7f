//! Container engines take what `morsel` converted.

use std::path::Path;
use std::process::Command;

use testkit::engine::{Containerd, Podman};
use testkit::oci;
use testkit::process::run;
use testkit::registry::Registry;
use testkit::tools::{self, PeerRoot, Tier};

use crate::harness::{Converted, digest};

/// Starts a registry, if there is skopeo as well to push to it.
fn registry(dir: &Path) -> Option<Registry> {
    tools::host(Tier::Engine, "skopeo")?;
    Registry::start(Tier::Engine, dir)
}

/// Pushes an image and returns its name in the registry.
fn push(registry: &Registry, image: &Converted) -> String {
    let name = format!("{}/image:latest", registry.host());
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["copy", "--insecure-policy", "--dest-tls-verify=false", "--preserve-digests"]);
    run(skopeo.args([image.target.reference("latest"), format!("docker://{name}")]));
    name
}

/// podman fetches every layer chunk by chunk, and ends up with the image that was converted.
fn podman_pulls_in_part(suite: &str) {
    let dir = tempfile::tempdir().unwrap();
    let Some(podman) = Podman::start(suite, dir.path()) else { return };
    let Some(registry) = registry(dir.path()) else { return };
    let image = Converted::sample(dir.path());

    let pull = podman.pull(&push(&registry, &image));

    for layer in image.target.layers("latest") {
        assert!(pull.was_partial(digest(&layer)), "{layer} was not fetched in part:\n{}", pull.log);
    }
    assert_eq!(pull.image_id, image.source.image_id("latest"));
}

#[test]
fn engine_podman_5_4_pulls_every_layer_in_part() {
    podman_pulls_in_part("trixie");
}

#[test]
fn engine_podman_5_8_pulls_every_layer_in_part() {
    podman_pulls_in_part("sid");
}

#[test]
fn engine_a_container_runs_from_a_converted_image() {
    let dir = tempfile::tempdir().unwrap();
    let Some(podman) = Podman::start("trixie", dir.path()) else { return };
    let Some(registry) = registry(dir.path()) else { return };
    let Some(root) = PeerRoot::find(Tier::Engine, "trixie", "dash") else { return };
    // The shell of the root, the libraries it needs, and the links that lead there.
    let script =
        "set -- $(ldd /usr/bin/dash | grep -o '/[^ ]*'); tar -C / -hc /usr/bin/dash $(realpath -s \"$@\")";
    let shell = run(root.command("sh", &[]).args(["-c", script])).stdout;
    let image = Converted::new(dir.path(), vec![shell]);

    let name = push(&registry, &image);
    assert!(podman.pull(&name).was_partial(digest(&image.target.layers("latest")[0])));

    assert_eq!(podman.run(&name, &["/usr/bin/dash", "-c", "echo $((6 * 7))"]), "42\n");
}

#[test]
fn engine_containerd_1_6_unpacks_it_as_plain_zstd() {
    let dir = tempfile::tempdir().unwrap();
    let Some(containerd) = Containerd::start(dir.path()) else { return };
    let Some(registry) = registry(dir.path()) else { return };
    let image = Converted::sample(dir.path());
    let name = push(&registry, &image);

    run(containerd.ctr().args(["images", "pull", "--plain-http", &name]));

    let ids: Vec<String> = image.tars.iter().map(|tar| oci::digest(tar)).collect();
    let upper = oci::digest(format!("{} {}", ids[0], ids[1]).as_bytes());
    let mut unpacked = containerd.chain_ids();
    unpacked.sort();
    let mut expected = [ids[0].clone(), upper];
    expected.sort();
    assert_eq!(unpacked, expected, "the chain IDs are those of the tars");
}

#[test]
fn engine_containerd_1_6_imports_an_archive_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let Some(containerd) = Containerd::start(dir.path()) else { return };
    let image = Converted::sample(dir.path());
    let archive = dir.path().join("image.tar");
    run(Command::new("tar").arg("-C").arg(image.target.dir()).arg("-cf").arg(&archive).arg("."));

    run(containerd.ctr().args(["images", "import", "--base-name=sample"]).arg(&archive));

    assert_eq!(containerd.chain_ids().len(), 2);
}
