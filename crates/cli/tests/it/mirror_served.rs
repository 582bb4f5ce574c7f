//! Mirrors to `morsel serve` under each of its policies for indexes.

use std::fs;

use serde_json::{Value, json};
use testkit::oci::Layout;

use crate::mirror::add_image;
use crate::sandbox::Sandbox;
use crate::served::Served;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Adds a signature as cosign tags it, and a bill of materials whose subject is `subject`; returns their digests.
pub(crate) fn say(layout: &Layout, subject: &Value) -> [String; 2] {
    let digest = subject["digest"].as_str().unwrap();
    let config = layout.add_blob("application/vnd.oci.empty.v1+json", b"{}");
    let layer = layout.add_blob("text/plain", digest.as_bytes());
    let mut said = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
    let mut signature = layout.add_blob(MANIFEST, said.to_string().as_bytes());
    let tag = format!("{}.sig", digest.replace(':', "-"));
    signature["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
    said["artifactType"] = json!("application/vnd.example.bill");
    let fields = ["mediaType", "digest", "size"];
    said["subject"] = fields.into_iter().map(|field| (field.to_owned(), subject[field].clone())).collect();
    let bill = layout.add_blob(MANIFEST, said.to_string().as_bytes());
    let mut index = layout.index();
    index["manifests"].as_array_mut().unwrap().extend([signature.clone(), bill.clone()]);
    fs::write(layout.dir().join("index.json"), index.to_string()).unwrap();
    [&signature, &bill].map(|said| said["digest"].as_str().unwrap().to_owned())
}

/// A sandbox with an image for three platforms as `oci:image:1`, its index, and what is said about the index and about
/// each image.
fn scene() -> (Sandbox, Layout, Value, Vec<[String; 2]>) {
    let sandbox = Sandbox::new();
    let layout = Layout::create(sandbox.path("image"));
    let root = add_image(&layout, "1", 10_000);
    let index: Value = serde_json::from_slice(&layout.blob(root["digest"].as_str().unwrap())).unwrap();
    let subjects = [&root].into_iter().chain(index["manifests"].as_array().unwrap());
    let said = subjects.map(|subject| say(&layout, subject)).collect();
    (sandbox, layout, root, said)
}

#[test]
fn a_sparse_mirror_is_served_with_all_that_is_said_about_it() {
    let (sandbox, layout, root, said) = scene();
    let served = Served::start(&sandbox.path("served"), &["--index-platforms", "none"]);
    let line = format!("morsel mirror oci:image:1 {}/team/app:1 --platform linux/amd64 -q", served.host());
    assert!(sandbox.output(&line).status.success(), "{}", sandbox.run(&line));

    let back = format!("morsel mirror {}/team/app:1 oci:back:1 -q", served.host());
    assert!(sandbox.output(&back).status.success());
    let back = Layout::open(sandbox.path("back"));
    let digest = root["digest"].as_str().unwrap();
    assert_eq!(back.blob(digest), layout.blob(digest), "the index is the same, byte for byte");
    let is_there = |digest: &String| back.blob_path(digest).exists();
    let there: Vec<bool> = said.iter().map(|said| said.iter().all(is_there)).collect();
    assert_eq!(there, [true, true, false, false], "of the index and of linux/amd64");

    let verify = format!("morsel mirror verify {}/team/app:1", served.host());
    let verified = sandbox.output(&verify);
    assert_eq!(verified.status.code(), Some(9), "{}", sandbox.run(&verify));
    assert_eq!(sandbox.output("morsel mirror verify oci:served/team/app:1").status.code(), Some(9));

    let log = served.log();
    let again = line.replace("--platform", "--platform linux/arm64 --platform");
    assert!(sandbox.output(&again).status.success());
    let puts: Vec<String> = served
        .log()
        .strip_prefix(&log)
        .unwrap()
        .lines()
        .filter(|line| line.contains("PUT") && line.contains("/manifests/"))
        .map(str::to_owned)
        .collect();
    assert!(puts.iter().all(|line| !line.contains(digest) && !line.contains("manifests/1 ")), "{puts:?}");
}

#[test]
fn each_policy_is_met_and_understood() {
    let (sandbox, ..) = scene();
    let mirror = |policy: &str, options: &str| {
        let name = policy.replace(['/', ','], "-");
        let served = Served::start(&sandbox.path(&name), &["--index-platforms", policy]);
        let line =
            format!("morsel mirror oci:image:1 {}/app:1 --platform linux/amd64 -q {options}", served.host());
        sandbox.run(&line).replace(served.host(), "HOST")
    };
    insta::assert_snapshot!(mirror("all", ""), @"
    $ morsel mirror oci:image:1 HOST/app:1 --platform linux/amd64 -q 
    --- stderr
    error: cannot mirror `oci:image:1` to `docker://HOST/app:1`
      cause: `docker://HOST/app:1` refuses index sha256:451dde.. without linux/arm64/v8 as sha256:55b469.., linux/s390x as sha256:672199..; its `--index-platforms` is `all`; `none`, or a list such as `linux/amd64`, would take it
    hint: `--trim` writes a new index of what is mirrored, with another digest and without its signatures; without `--platform`, everything is copied; `oci:DIR` and `morsel serve --index-platforms none` take the index as it is
    --- exit 6
    ");
    insta::assert_snapshot!(mirror("linux/amd64,linux/s390x", "--trial"), @"
    $ morsel mirror oci:image:1 HOST/app:1 --platform linux/amd64 -q --trial
    --- stderr
    error: cannot mirror `oci:image:1` to `docker://HOST/app:1`
      cause: `docker://HOST/app:1` refuses index sha256:451dde.. without linux/s390x as sha256:672199..; its `--index-platforms` is `linux/amd64,linux/s390x`; `none`, or a list such as `linux/amd64`, would take it
    hint: `--trim` writes a new index of what is mirrored, with another digest and without its signatures; without `--platform`, everything is copied; `oci:DIR` and `morsel serve --index-platforms none` take the index as it is
    --- exit 6
    ");
    for (policy, options) in
        [("all", "--trim"), ("linux/amd64", ""), ("linux/amd64,no-platform", "--trial"), ("none", "--trial")]
    {
        let said = mirror(policy, options);
        assert!(!said.contains("exit"), "{said}");
    }
}

#[test]
fn the_server_and_the_puller_say_the_same_of_an_absent_platform() {
    let (sandbox, ..) = scene();
    let served = Served::start(&sandbox.path("served"), &["--index-platforms", "none"]);
    let run = |line: &str| sandbox.run(&line.replace("HOST", served.host())).replace(served.host(), "HOST");
    run("morsel mirror oci:image:1 HOST/app:1 --platform linux/amd64 --platform linux/arm64 -q");
    insta::assert_snapshot!(run("morsel pull HOST/app:1 --platform linux/s390x --root store"), @"
    $ morsel pull HOST/app:1 --platform linux/s390x --root store
    --- stderr
    error: cannot pull `docker://HOST/app:1`
      cause: index sha256:451dde.. lists linux/s390x as sha256:672199.., but `docker://HOST/app:1` does not have it (sparse mirror of `oci:image:1`; present: linux/amd64, linux/arm64/v8)
    hint: `morsel mirror oci:image:1 docker://HOST/app:1 --platform linux/s390x` adds it from where it is
    --- exit 4
    ");
}
