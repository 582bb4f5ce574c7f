//! Images that podman runs before their content is here.

use testkit::data;
use testkit::tar::Tar;

use super::Scene;

const LAZY: &str = "[storage-helper]\nmode = 'lazy'\n";

#[test]
fn engine_podman_5_8_runs_what_is_not_here() {
    let Some(scene) = Scene::start("sid") else { return };
    scene.machine.write("etc/morsel/config.toml", LAZY);
    let base = Tar::new().dir("./opt/").file("./opt/base", data::stream(1, 2_000_000)).file("./opt/gone", "");
    let upper = Tar::new()
        .dir("./opt/")
        .file("./opt/.wh.gone", "")
        .file("./opt/large", data::stream(2, 30_000_000))
        .file("./opt/name", "app\n");
    let (name, id) = scene.push("app", &[base, upper]);
    let image = scene.convert(&name);

    let out = scene.machine.output(&format!(
        "podman run --rm {image} /bin/sh -c 'ls /opt; cat /opt/name'
         morsel daemon status; mount | grep morsel; podman images -q --no-trunc; morsel mounts"
    ));
    panic!("{}\n{}\n{id}\n{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr), scene.log());
}
