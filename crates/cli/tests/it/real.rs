//! Real images, as `scripts/make-image` makes them. This takes minutes: CI runs it with a release build, by
//! `cargo test --release -p morsel-cli --test it -- --ignored real`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::compare::Listing;
use testkit::oci::Layout;
use testkit::process::run;
use testkit::scripted::Script;
use testkit::tools::{self, Tier};

use crate::harness::{digest, morsel};
use crate::scene::Scene;

/// Finds the layouts in the directory that `MORSEL_IMAGES` names, otherwise in `target/images`.
pub(crate) fn images() -> Vec<Layout> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/images");
    let dir = env::var_os("MORSEL_IMAGES").map_or(default, PathBuf::from);
    let found = fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path());
    found.filter(|path| path.join("index.json").exists()).map(Layout::open).collect()
}

/// Lists the tags of a layout.
fn tags(image: &Layout) -> Vec<String> {
    let index = image.index();
    let name = |manifest: &serde_json::Value| {
        manifest["annotations"]["org.opencontainers.image.ref.name"].as_str().map(str::to_owned)
    };
    index["manifests"].as_array().unwrap().iter().filter_map(name).collect()
}

#[test]
#[ignore = "takes minutes unless optimized; `.ci/run` runs it in a release build"]
fn root_real_images_are_mounted_as_they_are_unpacked() {
    let images = images();
    if images.is_empty() {
        return tools::skip(
            Tier::Root,
            "there are no images: run `scripts/make-image debian target/images/debian`",
        );
    }
    for (image, tag) in images.iter().flat_map(|image| tags(image).into_iter().map(move |tag| (image, tag))) {
        let Some(scene) = Scene::new(Script::default()) else { return };
        let chunked = Layout::open(scene.path("chunked"));
        run(morsel().args(["convert", "--quiet", &image.reference(&tag), &chunked.reference("latest")]));
        let name = scene.publish("image", &chunked);
        scene.run(&["mount", &name, "m", "--no-fill", "-q"]);
        // All of it comes through the daemon.
        let lazy = Listing::read(&scene.path("m"));
        scene.run(&["wait", "m"]);
        scene.run(&["detach", "m"]);
        let local = Listing::read(&scene.path("m"));
        scene.run(&["unpack", "-q", &name, "tree"]);
        let unpacked = Listing::read(&scene.path("tree")).without("holes", |_, _| true);
        assert!(unpacked.paths().len() > 5000, "{} {tag}", image.dir().display());
        for mounted in [lazy, local] {
            mounted.without("holes", |_, _| true).assert_same(&unpacked);
        }
    }
}

/// Converts one layer and checks that it becomes the same blob, whatever it was and however many threads there are.
fn has_one_blob(gzip: &Path, dir: &Path) {
    let path = |name: &str| dir.join(name);
    fs::write(path("tar"), run(Command::new("gzip").arg("-dc").arg(gzip)).stdout).unwrap();
    run(Command::new("zstd").args(["-q", "-f", "-1"]).arg(path("tar")).arg("-o").arg(path("zst")));

    let convert = |source: &Path, jobs: &str, name: &str| {
        run(morsel().args(["convert", "--quiet", "--jobs", jobs]).arg(source).arg(path(name)));
    };
    convert(gzip, "2", "blob");
    for (source, jobs) in [(gzip, "1"), (gzip, "2"), (gzip, "8"), (&path("zst"), "2"), (&path("tar"), "2")] {
        convert(source, jobs, "again");
        run(Command::new("cmp").arg(path("blob")).arg(path("again")));
    }
    run(Command::new("zstd").args(["-q", "-d", "-f"]).arg(path("blob")).arg("-o").arg(path("decoded")));
    run(Command::new("cmp").arg(path("tar")).arg(path("decoded")));
}

#[test]
#[ignore = "takes minutes unless optimized; `.ci/run` runs it in a release build"]
fn tool_real_layers_decode_to_their_tar_and_have_one_blob() {
    if tools::host(Tier::Tool, "zstd").is_none() {
        return;
    }
    let images = images();
    if images.is_empty() {
        return tools::skip(
            Tier::Tool,
            "there are no images: run `scripts/make-image debian target/images/debian`",
        );
    }
    for image in images {
        for layer in ["latest", "stacked"].iter().flat_map(|tag| image.layers(tag)) {
            let dir = tempfile::tempdir().unwrap();
            has_one_blob(&image.blob_path(digest(&layer)), dir.path());
        }
    }
}
