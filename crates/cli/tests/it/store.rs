//! The verbs that look after the store.

use std::fs::{self, File};
use std::os::unix::fs::symlink;

use rustix::fs::{FlockOperation, flock};
use serde_json::Value;

use crate::sandbox::{Sandbox, testdata};

/// A sandbox with an image in the directory `image` and in the store `store`.
fn pulled() -> Sandbox {
    let sandbox = Sandbox::new();
    symlink(testdata("image"), sandbox.path("image")).unwrap();
    sandbox.stdout("morsel pull oci:image:latest --root store --quiet --sync");
    sandbox
}

fn json(sandbox: &Sandbox, line: &str) -> Value {
    serde_json::from_slice(&sandbox.stdout(line)).unwrap()
}

/// Writes the marker of a store that was not synced when the machine stopped in boot `boot`.
fn mark(sandbox: &Sandbox, boot: &str) {
    fs::write(sandbox.path("store/dirty"), boot).unwrap();
}

#[test]
fn what_a_pull_leaves_unsynced_is_marked_until_it_is_on_disk() {
    let this_boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let sandbox = pulled();
    sandbox.stdout("morsel pull oci:image:latest --root synced --quiet --sync");
    assert!(!sandbox.path("synced/dirty").exists());
    sandbox.stdout("morsel pull oci:image:latest --root later --quiet");
    // Whether or not the process that was started has done it already.
    sandbox.stdout("morsel sync --root later");
    assert!(!sandbox.path("later/dirty").exists());

    mark(&sandbox, &this_boot);
    sandbox.stdout("morsel images --root store");
    assert!(sandbox.path("store/dirty").exists());
    sandbox.stdout("morsel sync --root store");
    assert!(!sandbox.path("store/dirty").exists());
}

#[test]
fn an_image_whose_content_a_power_loss_took_is_pulled_again() {
    let sandbox = pulled();
    mark(&sandbox, "another boot");
    let fan = fs::read_dir(sandbox.path("store/objects")).unwrap().map(|fan| fan.unwrap().path());
    let objects = fan.flat_map(|fan| fs::read_dir(fan).unwrap().map(|object| object.unwrap().path()));
    let lost = objects.max_by_key(|object| fs::metadata(object).unwrap().len()).unwrap();
    let len = fs::metadata(&lost).unwrap().len();
    fs::remove_file(&lost).unwrap();
    // It has its length and lacks its bytes, as file systems leave it that write the length first.
    File::create(&lost).unwrap().set_len(len).unwrap();

    // There is nothing to sync of which it is known what it is.
    sandbox.stdout("morsel sync --root store");
    assert!(sandbox.path("store/dirty").exists());
    let said = sandbox.run("morsel images --root store");
    assert!(said.contains("the machine stopped before the store was on disk"), "{said}");
    assert!(said.contains("  indexed"), "{said}");
    assert!(!lost.exists() && !sandbox.path("store/dirty").exists());

    let receipt = json(&sandbox, "morsel pull oci:image:latest --root store --json");
    assert_eq!(receipt["layers"][0]["state"], "proven", "{receipt:#}");
    assert_eq!(fs::metadata(&lost).unwrap().len(), len);
    sandbox.stdout("morsel fsck --root store --quiet");
}

#[test]
fn there_has_to_be_a_store() {
    let sandbox = pulled();
    fs::create_dir(sandbox.path("empty")).unwrap();
    let said: String = ["images", "rm x", "gc", "fsck", "du", "sync"]
        .iter()
        .map(|verb| sandbox.run(&format!("morsel {verb} --root nowhere")))
        .chain([sandbox.run("morsel images --root empty"), sandbox.run("morsel images --root image")])
        .collect();
    insta::assert_snapshot!(said, @"
    $ morsel images --root nowhere
    --- stderr
    error: there is no store at `nowhere`
    --- exit 4
    $ morsel rm x --root nowhere
    --- stderr
    error: there is no store at `nowhere`
    --- exit 4
    $ morsel gc --root nowhere
    --- stderr
    error: there is no store at `nowhere`
    --- exit 4
    $ morsel fsck --root nowhere
    --- stderr
    error: there is no store at `nowhere`
    --- exit 4
    $ morsel du --root nowhere
    --- stderr
    error: there is no store at `nowhere`
    --- exit 4
    $ morsel sync --root nowhere
    --- stderr
    error: there is no store at `nowhere`
    --- exit 4
    $ morsel images --root empty
    --- stderr
    error: there is no store at `empty`
    --- exit 4
    $ morsel images --root image
    --- stderr
    error: there is no store at `image`
    --- exit 4
    ");
    assert!(!sandbox.path("nowhere").exists(), "looking makes nothing");
}

#[test]
fn nothing_else_becomes_a_store() {
    let sandbox = pulled();
    sandbox.write("file", "");
    fs::create_dir(sandbox.path("other")).unwrap();
    sandbox.write("other/file", "");
    sandbox.write("store/format", "morsel store 7\n");
    let said: String = ["other", "file", "store"]
        .iter()
        .map(|root| sandbox.run(&format!("morsel pull oci:image:latest --quiet --root {root}")))
        .collect();
    insta::assert_snapshot!(said, @"
    $ morsel pull oci:image:latest --quiet --root other
    --- stderr
    error: `other` is not a store, expected one, or an empty directory
    --- exit 1
    $ morsel pull oci:image:latest --quiet --root file
    --- stderr
    error: cannot create `file`
      cause: file exists
    --- exit 1
    $ morsel pull oci:image:latest --quiet --root store
    --- stderr
    error: the store at `store` has the format `morsel store 7`, expected `morsel store 1`
    --- exit 5
    ");
}

#[test]
fn images_are_removed_by_name_and_by_digest() {
    let sandbox = pulled();
    sandbox.stdout("morsel pull oci:image --root store --quiet");
    let images = json(&sandbox, "morsel images --root store --json");
    assert_eq!(images[0]["name"], "oci:image:latest");
    assert_eq!(images[0]["state"], "proven");
    let id = images[0]["config"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    let said = [
        sandbox.run("morsel rm oci:image:latest oci:image:other --root store"),
        sandbox.run("morsel images --root store"),
        sandbox.run(&format!("morsel rm {} --root store", &id[..12])),
        sandbox.run("morsel rm oci:image:latest --root store"),
        sandbox.run("morsel images --root store"),
    ];
    insta::assert_snapshot!(said.concat(), @"
    $ morsel rm oci:image:latest oci:image:other --root store
    --- stderr
    error: cannot remove `oci:image:other`
      cause: there is no image `oci:image:other` in the store
    --- exit 4
    $ morsel images --root store
    image             image ID      platform     layers     size  state
    oci:image:latest  ba6ef589da4d  linux/amd64       1  8.2 MiB  proven
    oci:image         ba6ef589da4d  linux/amd64       1  8.2 MiB  proven
    $ morsel rm ba6ef589da4d --root store
    removed oci:image:latest
    removed oci:image
    $ morsel rm oci:image:latest --root store
    --- stderr
    error: cannot remove `oci:image:latest`
      cause: there is no image `oci:image:latest` in the store
    --- exit 4
    $ morsel images --root store
    image  image ID  platform  layers  size  state
    ");
}

#[test]
fn garbage_is_collected_by_one_process_alone() {
    let sandbox = pulled();
    sandbox.stdout("morsel rm oci:image:latest --root store");
    let lock = File::open(sandbox.path("store/lock")).unwrap();
    flock(&lock, FlockOperation::LockShared).unwrap();
    let said = [
        sandbox.run("morsel gc --no-wait --root store"),
        sandbox.run("morsel fsck --repair --no-wait --root store"),
    ];
    insta::assert_snapshot!(said.concat(), @"
    $ morsel gc --no-wait --root store
    --- stderr
    error: cannot remove garbage from `store`
      cause: the store at `store` is in use by another process
    --- exit 7
    $ morsel fsck --repair --no-wait --root store
    --- stderr
    error: cannot check `store`
      cause: the store at `store` is in use by another process
    --- exit 7
    ");
    let plan = json(&sandbox, "morsel gc --dry-run --json --root store");
    let waits = sandbox.start("morsel gc --json --root store");
    drop(lock);
    let output = waits.wait_with_output().unwrap();
    assert!(output.status.success());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    for field in ["layers", "objects", "objects_len", "documents", "documents_len", "leftovers"] {
        assert_eq!(report[field], plan[field], "{field}");
    }
    assert_eq!(report["objects"], 16);
    insta::assert_snapshot!(sandbox.run("morsel gc --root store"), @"
    $ morsel gc --root store
    there is nothing to remove
    ");
}

#[test]
fn damage_is_found_told_and_repaired() {
    let sandbox = pulled();
    assert!(sandbox.stdout("morsel fsck --root store --quiet").is_empty());
    let layers = json(&sandbox, "morsel images --root store --json")[0]["layers"].clone();
    let layer = layers[0].as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned();
    fs::write(sandbox.path("store/layers").join(layer).join("toc"), "{").unwrap();
    let said = [
        sandbox.run("morsel fsck --root store"),
        sandbox.run("morsel gc --root store"),
        sandbox.run("morsel du --root store"),
        sandbox.run("morsel fsck --repair --root store"),
        sandbox.run("morsel images --root store"),
    ];
    insta::assert_snapshot!(said.concat(), @"
    $ morsel fsck --root store
    layer sha256:455e55..: `store/layers/455e552028e468d59981384f4209fad5b65f75e73508f03d6b90077f6ebe38a0/toc` is damaged: its digest is wrong
    checked  1 image, 1 layer, 16 file contents, 8.1 MiB
    time        [time]
    `fsck --repair` removes what is damaged, so that a pull fetches it again
    --- exit 3
    $ morsel gc --root store
    --- stderr
    error: cannot remove garbage from `store`
      cause: `store/layers/455e552028e468d59981384f4209fad5b65f75e73508f03d6b90077f6ebe38a0/toc` is damaged: its digest is wrong
    hint: `morsel fsck --repair` removes what is damaged in a store
    --- exit 3
    $ morsel du --root store
    --- stderr
    error: cannot measure `store`
      cause: `store/layers/455e552028e468d59981384f4209fad5b65f75e73508f03d6b90077f6ebe38a0/toc` is damaged: its digest is wrong
    hint: `morsel fsck --repair` removes what is damaged in a store
    --- exit 3
    $ morsel fsck --repair --root store
    layer sha256:455e55..: `store/layers/455e552028e468d59981384f4209fad5b65f75e73508f03d6b90077f6ebe38a0/toc` is damaged: its digest is wrong
    checked  1 image, 1 layer, 16 file contents, 8.1 MiB
    time        [time]
    1 layer removed
    $ morsel images --root store
    image             image ID      platform     layers  size  state
    oci:image:latest  ba6ef589da4d  linux/amd64       1   0 B  incomplete
    ");
    sandbox.stdout("morsel pull oci:image:latest --root store --quiet");
    let report = json(&sandbox, "morsel fsck --root store --json");
    assert_eq!((&report["bad_objects"], &report["repairs"]), (&Value::Array(vec![]), &Value::Null));
}

#[test]
fn a_power_loss_is_told_of() {
    let sandbox = pulled();
    sandbox.write("store/dirty", "another boot\n");
    insta::assert_snapshot!(sandbox.run("morsel images --root store"), @"
    $ morsel images --root store
    image             image ID      platform     layers     size  state
    oci:image:latest  ba6ef589da4d  linux/amd64       1  8.2 MiB  proven
    --- stderr
    the machine stopped before the store was on disk; checking what was written last
    checked 16 file contents, 8.1 MiB; dedup index made anew
    ");
    assert!(!sandbox.path("store/dirty").exists());
}

#[test]
fn space_is_told_as_json() {
    let sandbox = pulled();
    let usage = json(&sandbox, "morsel du --root store --json");
    assert_eq!(usage["images"][0]["files"], 16);
    assert_eq!(usage["images"][0]["own_len"], usage["objects_len"]);
    assert_eq!((&usage["unused_len"], &usage["partials_len"]), (&0.into(), &0.into()));
}
