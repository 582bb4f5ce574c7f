//! Real images, as `scripts/make-image` makes them. This takes minutes: CI runs it with a release build, by
//! `cargo test --release -p morsel-cli --test it -- --ignored real`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::oci::Layout;
use testkit::process::run;
use testkit::tools::{self, Tier};

use crate::harness::{digest, morsel};

/// Finds the layouts in the directory that `MORSEL_IMAGES` names, otherwise in `target/images`.
pub(crate) fn images() -> Vec<Layout> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/images");
    let dir = env::var_os("MORSEL_IMAGES").map_or(default, PathBuf::from);
    let found = fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path());
    found.filter(|path| path.join("index.json").exists()).map(Layout::open).collect()
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
