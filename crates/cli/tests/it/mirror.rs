//! Mirrors of some platforms, as a person makes them.

use std::collections::HashSet;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;
use testkit::data;
use testkit::link::Link;
use testkit::oci::Layout;
use testkit::scripted::{Indexes, Script, Scripted};
use testkit::tar::Tar;

use crate::sandbox::Sandbox;

/// Makes an image for three platforms, with layers of about `len` bytes.
pub(crate) fn add_image(layout: &Layout, tag: &str, len: usize) -> Value {
    let tar = |seed| Tar::new().file("data", data::stream(seed, len)).finish();
    let (amd64, arm64, s390x) = (tar(1), tar(2), tar(3));
    let images: [(&str, &[&[u8]]); 3] =
        [("linux/amd64", &[&amd64]), ("linux/arm64/v8", &[&arm64]), ("linux/s390x", &[&s390x])];
    layout.add_platforms(tag, &images)
}

/// A sandbox with an image as `oci:image:1`, and a registry that takes sparse indexes.
fn scene() -> (Sandbox, Scripted) {
    let sandbox = Sandbox::new();
    add_image(&Layout::create(sandbox.path("image")), "1", 10_000);
    (sandbox, Scripted::start(Script { indexes: Indexes::None, ..Script::default() }))
}

/// Runs a command line in which `HOST` stands for a registry.
fn run(sandbox: &Sandbox, registry: &Scripted, line: &str) -> String {
    sandbox.run(&line.replace("HOST", &registry.host())).replace(&registry.host(), "HOST")
}

#[test]
fn a_mirror_is_made_looked_at_and_extended() {
    let (sandbox, registry) = scene();
    let run = |line: &str| run(&sandbox, &registry, line);
    insta::assert_snapshot!(run("morsel mirror oci:image:1 HOST/app:1 --platform linux/amd64 --dry-run"), @"
    $ morsel mirror oci:image:1 HOST/app:1 --platform linux/amd64 --dry-run
    oci:image:1 -> docker://HOST/app:1
      linux/amd64     bef0119e0f4f  10.4 KiB  mirrored
      linux/arm64/v8  55b469a47be7     403 B  left out, not asked for
      linux/s390x     672199cb5d22     403 B  left out, not asked for
    index   sha256:451dde.., byte for byte
    beside  a record of what is left out
    to do   move 10.5 KiB (4 blobs), 3 documents; mount nothing; there before nothing
    note: children of an index have no tags of their own: at HOST, retention or garbage collection by tags must spare what an index lists, and accept that some of it is missing
    time    [time]
    ");
    insta::assert_snapshot!(run("morsel mirror oci:image:1 HOST/app:1 --platform linux/amd64 --by edge"), @"
    $ morsel mirror oci:image:1 HOST/app:1 --platform linux/amd64 --by edge
    oci:image:1 -> docker://HOST/app:1
      linux/amd64     bef0119e0f4f  10.4 KiB  mirrored
      linux/arm64/v8  55b469a47be7     403 B  left out, not asked for
      linux/s390x     672199cb5d22     403 B  left out, not asked for
    index   sha256:451dde.., byte for byte
    beside  a record of what is left out
    moved   10.5 KiB (4 blobs); mounted nothing; there before nothing
    note: children of an index have no tags of their own: at HOST, retention or garbage collection by tags must spare what an index lists, and accept that some of it is missing
    time        [time]
    ");
    insta::assert_snapshot!(run("morsel mirror verify HOST/app:1"), @"
    $ morsel mirror verify HOST/app:1
    docker://HOST/app:1: sparse on purpose
      linux/amd64     bef0119e0f4f  10.4 KiB  present
      linux/arm64/v8  55b469a47be7       0 B  left out on purpose
      linux/s390x     672199cb5d22       0 B  left out on purpose
    index       sha256:451dde..
    signatures  none
    referrers   0
    record      mirrored from oci:image:1, by edge; 2 entries left out
    --- exit 9
    ");
    insta::assert_snapshot!(run("morsel mirror oci:image:1 HOST/app:1 --platform linux/arm64"), @"
    $ morsel mirror oci:image:1 HOST/app:1 --platform linux/arm64
    oci:image:1 -> docker://HOST/app:1
      linux/amd64     bef0119e0f4f     403 B  there from before
      linux/arm64/v8  55b469a47be7  10.5 KiB  mirrored
      linux/s390x     672199cb5d22     403 B  left out, not asked for
    index   sha256:451dde.., there before
    beside  a record of what is left out
    moved   10.5 KiB (3 blobs); mounted nothing; there before 2 B (1 blob)
    note: children of an index have no tags of their own: at HOST, retention or garbage collection by tags must spare what an index lists, and accept that some of it is missing
    time        [time]
    ");
    insta::assert_snapshot!(run("morsel mirror verify HOST/app:1 --require linux/s390x -q"), @"
    $ morsel mirror verify HOST/app:1 --require linux/s390x -q
    --- exit 4
    ");
    insta::assert_snapshot!(run("morsel mirror verify oci:image:1 --compare HOST/app:1"), @"
    $ morsel mirror verify oci:image:1 --compare HOST/app:1
    oci:image:1: complete
      linux/amd64     bef0119e0f4f  10.4 KiB  present
      linux/arm64/v8  55b469a47be7  10.5 KiB  present
      linux/s390x     672199cb5d22  10.5 KiB  present
    index       sha256:451dde..
    signatures  none
    referrers   0
    docker://HOST/app:1 has the same index and is sparse on purpose
    only in oci:image:1: linux/s390x
    ");
}

#[test]
fn an_absent_platform_is_told_at_a_glance() {
    let (sandbox, registry) = scene();
    let run = |line: &str| run(&sandbox, &registry, line);
    run("morsel mirror oci:image:1 HOST/app:1 --platform linux/amd64 -q");
    insta::assert_snapshot!(run("morsel pull HOST/app:1 --platform linux/s390x --root store"), @"
    $ morsel pull HOST/app:1 --platform linux/s390x --root store
    --- stderr
    error: cannot pull `docker://HOST/app:1`
      cause: index sha256:451dde.. lists linux/s390x as sha256:672199.., but `docker://HOST/app:1` does not have it (sparse mirror of `oci:image:1`; present: linux/amd64)
    hint: `morsel mirror oci:image:1 docker://HOST/app:1 --platform linux/s390x` adds it from where it is
    --- exit 4
    ");
    insta::assert_snapshot!(run("morsel inspect HOST/app:1 --platform linux/s390x"), @"
    $ morsel inspect HOST/app:1 --platform linux/s390x
    --- stderr
    error: cannot inspect `docker://HOST/app:1`
      cause: index sha256:451dde.. lists linux/s390x as sha256:672199.., but `docker://HOST/app:1` does not have it (sparse mirror of `oci:image:1`; present: linux/amd64)
    hint: `morsel mirror oci:image:1 docker://HOST/app:1 --platform linux/s390x` adds it from where it is
    --- exit 4
    ");
    insta::assert_snapshot!(run("morsel convert HOST/app:1 oci:converted --platform linux/s390x"), @"
    $ morsel convert HOST/app:1 oci:converted --platform linux/s390x
    --- stderr
    error: cannot convert `docker://HOST/app:1`
      cause: index sha256:451dde.. lists linux/s390x as sha256:672199.., but `docker://HOST/app:1` does not have it (sparse mirror of `oci:image:1`; present: linux/amd64)
    hint: `morsel mirror oci:image:1 docker://HOST/app:1 --platform linux/s390x` adds it from where it is
    --- exit 4
    ");
    insta::assert_snapshot!(run("morsel pull HOST/app:1 --platform linux/riscv64 --root store"), @"
    $ morsel pull HOST/app:1 --platform linux/riscv64 --root store
    --- stderr
    error: cannot pull `docker://HOST/app:1`
      cause: `docker://HOST/app:1` does not list linux/riscv64; it lists linux/amd64, linux/arm64/v8, linux/s390x
    --- exit 4
    ");
    insta::assert_snapshot!(run("morsel mirror HOST/app:1 oci:second --platform linux/s390x"), @"
    $ morsel mirror HOST/app:1 oci:second --platform linux/s390x
    --- stderr
    error: cannot mirror `docker://HOST/app:1` to `oci:second`
      cause: index sha256:451dde.. lists linux/s390x as sha256:672199.., but `docker://HOST/app:1` does not have it (sparse mirror of `oci:image:1`; present: linux/amd64)
    hint: `morsel mirror oci:image:1 docker://HOST/app:1 --platform linux/s390x` adds it from where it is
    --- exit 4
    ");
}

#[test]
fn a_registry_that_refuses_is_understood() {
    let (sandbox, _) = scene();
    let registry = Scripted::start(Script::default());
    let run = |line: &str| run(&sandbox, &registry, line);
    insta::assert_snapshot!(run("morsel mirror oci:image:1 HOST/app:1 --platform linux/amd64"), @"
    $ morsel mirror oci:image:1 HOST/app:1 --platform linux/amd64
    --- stderr
    error: cannot mirror `oci:image:1` to `docker://HOST/app:1`
      cause: `docker://HOST/app:1` refuses index sha256:451dde.. without linux/arm64/v8 as sha256:55b469.., linux/s390x as sha256:672199..; distribution 3 takes it with `validation.manifests.indexes.platforms: none`, or `list` with a `platformlist` of linux/amd64; 2.x, Harbor, Gitea and Nexus do not
    hint: `--trim` writes a new index of what is mirrored, with another digest and without its signatures; without `--platform`, everything is copied; `oci:DIR` and `morsel serve --index-platforms none` take the index as it is
    --- exit 6
    ");
    insta::assert_snapshot!(run("morsel mirror oci:image:1 HOST/app:1 --platform linux/amd64 --trim"), @"
    $ morsel mirror oci:image:1 HOST/app:1 --platform linux/amd64 --trim
    oci:image:1 -> docker://HOST/app:1
      linux/amd64     bef0119e0f4f  10.4 KiB  mirrored, there before
      linux/arm64/v8  55b469a47be7     403 B  left out, not asked for
      linux/s390x     672199cb5d22     403 B  left out, not asked for
    index   sha256:0b2cc1.., new; lost with sha256:451dde..: 0 signatures and referrers
    beside  nothing
    moved   nothing; mounted nothing; there before 10.1 KiB (2 blobs)
    time    [time]
    ");
}

#[test]
fn many_images_are_mirrored_from_a_list() {
    let sandbox = Sandbox::new();
    let layout = Layout::create(sandbox.path("image"));
    ["1.0", "1.1", "2.0"].into_iter().for_each(|tag| drop(add_image(&layout, tag, 10_000)));
    let from = Scripted::start(Script::default());
    from.add_layout("team/app", &layout);
    from.add_layout("base", &layout);
    sandbox.write(
        "list",
        format!("# all\n{0}/team/app:1.*\n{0}/base:2.0 linux/s390x\n{0}/gone:1\n{0}/base:9*\n", from.host()),
    );
    let to = Scripted::start(Script { indexes: Indexes::None, ..Script::default() });
    let said = run(&sandbox, &to, "morsel mirror --from-file list HOST/hub --platform linux/arm64");
    insta::assert_snapshot!(said.replace(&from.host(), "FROM"), @"
    $ morsel mirror --from-file list HOST/hub --platform linux/arm64
    docker://FROM/team/app:1.0 -> docker://HOST/hub/team/app:1.0
      linux/amd64     bef0119e0f4f     403 B  left out, not asked for
      linux/arm64/v8  55b469a47be7  10.5 KiB  mirrored
      linux/s390x     672199cb5d22     403 B  left out, not asked for
    index   sha256:451dde.., byte for byte
    beside  a record of what is left out
    moved   10.5 KiB (4 blobs); mounted nothing; there before nothing
    note: children of an index have no tags of their own: at HOST, retention or garbage collection by tags must spare what an index lists, and accept that some of it is missing
    docker://FROM/team/app:1.1 -> docker://HOST/hub/team/app:1.1
      linux/amd64     bef0119e0f4f     403 B  left out, not asked for
      linux/arm64/v8  55b469a47be7  10.5 KiB  mirrored, there before
      linux/s390x     672199cb5d22     403 B  left out, not asked for
    index   sha256:451dde.., byte for byte
    beside  nothing
    moved   nothing; mounted nothing; there before 10.1 KiB (2 blobs)
    docker://FROM/base:2.0 -> docker://HOST/hub/base:2.0
      linux/amd64     bef0119e0f4f     403 B  left out, not asked for
      linux/arm64/v8  55b469a47be7     403 B  left out, not asked for
      linux/s390x     672199cb5d22  10.5 KiB  mirrored
    index   sha256:451dde.., byte for byte
    beside  a record of what is left out
    moved   10.5 KiB (4 blobs); mounted nothing; there before nothing
    images  3, 2 failed
    moved   21.0 KiB (8 blobs); mounted nothing
    time    [time]
    --- stderr
    error: cannot mirror `docker://FROM/gone:1` to `docker://HOST/hub/gone:1`
      cause: cannot access `docker://FROM/gone:1`
      cause: there is no such image at FROM
    error: no tag of `base` fits `9*`
    --- exit 4
    ");
    for (repository, tag, is_there) in
        [("team/app", "1.0", true), ("team/app", "2.0", false), ("base", "2.0", true)]
    {
        assert_eq!(to.manifest(&format!("hub/{repository}"), tag).is_some(), is_there, "{repository}:{tag}");
    }
    let said = run(&sandbox, &to, "morsel mirror --from-file list oci:hub --platform linux/arm64 -q");
    assert!(said.contains("exit 4"), "{said}");
    let names = Layout::open(sandbox.path("hub")).index()["manifests"].as_array().unwrap().len();
    // Two indexes of the same bytes have one record.
    assert!(names >= 4, "{names}");
}

#[test]
fn mistakes_on_the_command_line_are_named() {
    let (sandbox, registry) = scene();
    let run = |line: &str| run(&sandbox, &registry, line);
    insta::assert_snapshot!(run("morsel mirror oci:image:1"), @"
    $ morsel mirror oci:image:1
    --- stderr
    error: `oci:image:1` is to be mirrored, but it is not said where to
    --- exit 2
    ");
    insta::assert_snapshot!(run("morsel mirror --from-file list oci:image:1 oci:x"), @"
    $ morsel mirror --from-file list oci:image:1 oci:x
    --- stderr
    error: with `--from-file`, the images are in the file, and `oci:image:1` cannot be another; expected only where they go
    --- exit 2
    ");
    insta::assert_snapshot!(run("morsel mirror oci:image:1 docker-archive:x.tar"), @"
    $ morsel mirror oci:image:1 docker-archive:x.tar
    --- stderr
    error: cannot mirror `oci:image:1` to `docker-archive:x.tar`
      cause: cannot write `docker-archive:x.tar`: expected `docker://`, `oci:` or `oci-archive:`
    --- exit 5
    ");
    sandbox.write("list", "quay.io/*/app:1\n");
    insta::assert_snapshot!(run("morsel mirror --from-file list HOST/hub"), @"
    $ morsel mirror --from-file list HOST/hub
    --- stderr
    error: cannot read the list `list`
      cause: line 1: `quay.io/*/app:1` has a glob outside the tag of a registry's image
    --- exit 3
    ");
    sandbox.write("list", "oci:image:1\n");
    insta::assert_snapshot!(run("morsel mirror --from-file list oci-archive:x.tar"), @"
    $ morsel mirror --from-file list oci-archive:x.tar
    images  0, 1 failed
    moved   nothing; mounted nothing
    time    [time]
    --- stderr
    error: `oci-archive:x.tar` cannot hold several images, expected `HOST[/PREFIX]` or `oci:DIR`
    --- exit 2
    ");
}

#[test]
fn the_plan_knows_the_bytes_beforehand() {
    let (sandbox, registry) = scene();
    let json = |line: &str| -> Value {
        serde_json::from_slice(&sandbox.stdout(&line.replace("HOST", &registry.host()))).unwrap()
    };
    let line = "morsel mirror oci:image:1 HOST/app:1 --platform linux/amd64 --json";
    let plan = json(&format!("{line} --dry-run"));
    assert!(registry.manifest("app", "1").is_none() && plan["done"].is_null());
    let done = json(line);
    assert_eq!(done["done"]["copied"], plan["totals"]["copy"]);
    assert_eq!(done["done"]["documents"], plan["totals"]["documents"]);
    let uploaded: u64 = registry
        .requests()
        .iter()
        .filter(|request| request.path.contains("/blobs/uploads/"))
        .map(|request| request.received)
        .sum();
    assert_eq!(plan["totals"]["copy"]["bytes"], uploaded);
}

#[test]
fn the_plan_of_a_list_counts_shared_blobs_once() {
    let (sandbox, registry) = scene();
    let from = Scripted::start(Script::default());
    let layout = Layout::open(sandbox.path("image"));
    ["one", "two"].into_iter().for_each(|name| from.add_layout(name, &layout));
    sandbox.write("list", format!("{0}/one:1\n{0}/two:1\n", from.host()));
    let line = format!("morsel mirror --from-file list {} --json", registry.host());
    let totals = |line: &str, key: &str| -> Vec<Value> {
        let report: Value = serde_json::from_slice(&sandbox.stdout(line)).unwrap();
        report["images"].as_array().unwrap().iter().map(|image| image[key].clone()).collect()
    };
    let planned = totals(&format!("{line} --dry-run"), "totals");
    let done = totals(&line, "done");
    for (planned, done) in planned.iter().zip(&done) {
        assert_eq!((&planned["copy"], &planned["mount"]), (&done["copied"], &done["mounted"]));
    }
    assert_eq!(done[1]["copied"]["count"], 0);
}

/// Kills twenty runs at as many points. What was complete is neither fetched nor sent again.
#[test]
fn killed_mirrors_go_on_where_they_stopped() {
    let sandbox = Sandbox::new();
    let layout = Layout::create(sandbox.path("image"));
    add_image(&layout, "1", 1_000_000);
    let link = Some(Link::of_megabits(100, 2));
    let from = Scripted::start(Script { link, ..Script::default() });
    from.add_layout("app", &layout);
    let to = Scripted::start(Script { indexes: Indexes::None, ..Script::default() });
    let line = format!(
        "morsel mirror {}/app:1 {}/app:1 -q --platform linux/amd64 --platform linux/s390x",
        from.host(),
        to.host()
    );
    let mut complete: HashSet<String> = HashSet::new();
    for run in 0..20 {
        from.forget_requests();
        let mut child = sandbox.start(&line);
        sleep(Duration::from_millis(20 + run * 9));
        child.kill().unwrap();
        child.wait().unwrap();
        let fetched =
            from.requests().into_iter().filter(|one| one.method == "GET" && one.path.contains("/blobs/"));
        for request in fetched {
            let digest = request.path.rsplit('/').next().unwrap().to_owned();
            assert!(!complete.contains(&digest), "{digest} was there before run {run}");
        }
        let is_there = |digest: &str| to.blob("app", digest).is_some();
        complete = blobs(&layout).into_iter().filter(|digest| is_there(digest)).collect();
    }
    assert!(sandbox.output(&line).status.success());
    assert!(to.manifest("app", "1").is_some());
}

/// Lists the blobs of a layout.
fn blobs(layout: &Layout) -> Vec<String> {
    let files = std::fs::read_dir(layout.dir().join("blobs/sha256")).unwrap();
    files.map(|file| format!("sha256:{}", file.unwrap().file_name().to_str().unwrap())).collect()
}
