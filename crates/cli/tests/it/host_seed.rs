//! Pulls from a host that has most of an image: the receipt says what an independent count says.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use testkit::data;
use testkit::oci::{Compression, Layout};
use testkit::process::run;
use testkit::tar::Tar;
use testkit::tools::{self, Tier};

use crate::sandbox::Sandbox;

/// The image, and a host with the same files but for some that changed, moved, or are gone.
fn image_and_host(sandbox: &Sandbox) {
    let long = |seed| [data::stream(seed, 40_000), data::cut(), data::stream(3, 60_000)].concat();
    let tar = |version| {
        let files =
            (0..30).map(|number| (format!("./usr/share/doc/file-{number}"), data::text(number, 3000)));
        let tar = files.fold(Tar::new().dir("./"), |tar, (name, content)| tar.file(name, content));
        tar.file("./usr/lib/long", long(version)).file("./copy", data::text(3, 3000)).finish()
    };
    let source = Layout::create(sandbox.path("source"));
    source.add_image("latest", Compression::Gzip, &[&tar(1)]);
    sandbox.stdout("morsel convert --quiet oci:source:latest oci:image:latest");
    let host = sandbox.path("host");
    sandbox.write("host.tar", tar(2));
    fs::create_dir(&host).unwrap();
    run(Command::new("tar").arg("-xf").arg(sandbox.path("host.tar")).arg("-C").arg(&host));
    let file = |number: u64| host.join(format!("usr/share/doc/file-{number}"));
    fs::write(file(0), data::text(1000, 3000)).unwrap();
    fs::write(file(1), "shorter").unwrap();
    fs::remove_file(file(2)).unwrap();
    fs::rename(file(3), host.join("moved")).unwrap();
    fs::remove_file(file(4)).unwrap();
    std::os::unix::fs::symlink("file-5", file(4)).unwrap();
}

fn pull(sandbox: &Sandbox, line: &str) -> Value {
    let receipt: Value = serde_json::from_slice(&sandbox.stdout(line)).unwrap();
    let images: Value = serde_json::from_slice(&sandbox.stdout("morsel images --root store --json")).unwrap();
    assert_eq!(images[0]["state"], "proven");
    receipt["total"].clone()
}

fn count_independently(sandbox: &Sandbox) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/count-seed");
    let counted =
        run(Command::new(script).arg(sandbox.path("image")).arg("latest").arg(sandbox.path("host")));
    counted.text().trim().to_owned()
}

#[test]
fn tool_the_receipt_says_what_an_independent_count_says() {
    if ["jq", "zstd"].iter().any(|tool| tools::host(Tier::Tool, tool).is_none()) {
        return;
    }
    let sandbox = Sandbox::new();
    image_and_host(&sandbox);
    // One content is found at its second path, `copy`.
    let counted = count_independently(&sandbox);
    assert_eq!(counted, "26 files, 78000 bytes");
    let total = pull(&sandbox, "morsel pull --json --root store --seed host oci:image:latest");
    let [from] = total["seeds"].as_array().unwrap().as_slice() else { panic!("{total}") };
    let files = &from["files"];
    assert_eq!(format!("{} files, {} bytes", files["count"], files["bytes"]), counted);
    assert_eq!((&from["wrong"]["count"], &from["chunks"]["count"]), (&Value::from(2), &Value::from(1)));
    assert!(total["needed"].as_u64().unwrap() < 50_000, "{total}");
}

#[test]
fn every_pull_uses_what_is_indexed() {
    let sandbox = Sandbox::new();
    image_and_host(&sandbox);
    sandbox.stdout("morsel index add --quiet --root store host");
    let total = pull(&sandbox, "morsel pull --json --root store oci:image:latest");
    let [from] = total["seeds"].as_array().unwrap().as_slice() else { panic!("{total}") };
    assert_eq!((&from["files"]["count"], &from["wrong"]["count"]), (&Value::from(26), &Value::from(0)));
    // What is not there any more is told of, and nothing depends on it.
    fs::rename(sandbox.path("host"), sandbox.path("gone")).unwrap();
    let said = sandbox.run("morsel pull --quiet --root store oci:image:latest");
    assert!(said.contains("is not used: there is nothing at"), "{said}");
    let said: String = [
        "morsel pull --quiet --root other --seed nowhere oci:image:latest",
        "morsel index add --root other nowhere",
        "morsel index remove --root store nowhere",
        "morsel index list --root nowhere",
    ]
    .map(|line| sandbox.run(line))
    .concat();
    insta::assert_snapshot!(said, @"
    $ morsel pull --quiet --root other --seed nowhere oci:image:latest
    --- stderr
    error: cannot use the seed `nowhere`
      cause: there is nothing at `nowhere`
    --- exit 4
    $ morsel index add --root other nowhere
    --- stderr
    error: cannot use the seed `nowhere`
      cause: there is nothing at `nowhere`
    --- exit 4
    $ morsel index remove --root store nowhere
    --- stderr
    error: `nowhere` is not in the dedup index; `morsel index list` says what is
    --- exit 4
    $ morsel index list --root nowhere
    --- stderr
    error: there is no store at `nowhere`
    --- exit 4
    ");
}
