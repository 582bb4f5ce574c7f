//! Pulls of images that somebody tampered with: each is refused with a message of its own, and nothing of it is seen.

use std::fs;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use testkit::oci::Layout;
use testkit::scripted::{Fault, Misdeed, Script, Scripted, Target};
use testkit::tar::Tar;
use testkit::{data, oci, toc};

use crate::harness::{Converted, digest};
use crate::sandbox::Sandbox;
use crate::update::objects;

/// An image of one layer, whose file `./large` has several chunks.
struct Image {
    sandbox: Sandbox,
    image: Converted,
}

impl Image {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let large = [data::stream(1, 20_000), data::cut(), data::stream(2, 20_000)].concat();
        let tar = Tar::new().dir("./").file("./large", large).file("./small", "content\n").finish();
        let image = Converted::new(&sandbox.path(""), vec![tar]);
        Self { sandbox, image }
    }

    fn layout(&self) -> &Layout {
        &self.image.target
    }

    fn layer(&self) -> Value {
        self.layout().layers("latest").remove(0)
    }

    fn rows(&self) -> Vec<serde_json::Map<String, Value>> {
        toc::rows(&self.layout().blob(digest(&self.layer())), &self.layer())
    }

    fn diff_id(&self) -> String {
        oci::digest(&self.image.tars[0])
    }

    /// Pulls the image while a byte of its layer is flipped.
    fn flipped(&self, offset: usize) -> String {
        self.faulty(Target::Path(digest(&self.layer()).to_owned()), offset)
    }

    fn faulty(&self, target: Target, offset: usize) -> String {
        let flip = Fault::new(target, Misdeed::Flip { offset: offset as u64 }).always();
        let registry = Scripted::start(Script { faults: vec![flip], ..Script::default() });
        registry.add_layout("image", self.layout());
        self.refused(&registry, "latest")
    }

    /// Pulls an image that was put together anew.
    fn forged(&self, layer: &Value, diff_id: String) -> String {
        self.layout().add_manifest("forged", std::slice::from_ref(layer), &[diff_id]);
        let registry = Scripted::start(Script::default());
        registry.add_layout("image", self.layout());
        self.refused(&registry, "forged")
    }

    /// Pulls the image as it should be: what was refused before is no obstacle.
    fn pull_honest(&self) {
        let registry = Scripted::start(Script::default());
        registry.add_layout("image", self.layout());
        self.sandbox.stdout(&format!("morsel pull --root store docker://{}/image:latest", registry.host()));
    }

    /// Pulls what must not be pulled, and returns what was said.
    fn refused(&self, registry: &Scripted, tag: &str) -> String {
        let host = registry.host();
        let said = self.sandbox.run(&format!("morsel pull --root store docker://{host}/image:{tag}"));
        assert_eq!(self.sandbox.stdout("morsel images --root store --json"), b"[]\n");
        assert!(self.sandbox.output("morsel fsck --root store").status.success(), "{said}");
        // The same without morsel: what is there is what it says it is.
        objects(&self.sandbox.path("store"));
        self.pull_honest();
        said.replace(&host, "HOST")
    }
}

#[test]
fn a_manifest() {
    insta::assert_snapshot!(Image::new().faulty(Target::Manifests, 100), @"
    $ morsel pull --root store docker://HOST/image:latest
    --- stderr
    error: cannot pull `docker://HOST/image:latest`
      cause: cannot access `docker://HOST/image:latest`
      cause: `http://HOST/v2/image/manifests/latest` has the digest sha256:da75d0.., the registry says sha256:226cc5..
    --- exit 3
    ");
}

#[test]
fn a_config() {
    let image = Image::new();
    let config = image.layout().image_id("latest");
    insta::assert_snapshot!(image.faulty(Target::Path(config), 100), @"
    $ morsel pull --root store docker://HOST/image:latest
    --- stderr
    error: cannot pull `docker://HOST/image:latest`
      cause: document sha256:1bdb02.. of `docker://HOST/image:latest` is not valid
      cause: digest of the body is sha256:1e9d44.., expected sha256:1bdb02..
    --- exit 3
    ");
}

#[test]
fn a_manifest_asked_for_by_its_digest() {
    let image = Image::new();
    let index = image.layout().index();
    let manifest = image.layout().blob(index["manifests"][0]["digest"].as_str().unwrap());
    let asked_for = oci::digest(b"other");
    let registry = Scripted::start(Script::default());
    registry.add_layout("image", image.layout());
    registry.add_manifest_as("image", &asked_for, "application/vnd.oci.image.manifest.v1+json", &manifest);
    insta::assert_snapshot!(image.refused(&registry, &format!("latest@{asked_for}")), @"
    $ morsel pull --root store docker://HOST/image:latest@sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa
    --- stderr
    error: cannot pull `docker://HOST/image:latest@sha256:d9298a..`
      cause: document sha256:d9298a.. of `docker://HOST/image:latest@sha256:d9298a..` is not valid
      cause: digest of the body is sha256:226cc5.., expected sha256:d9298a..
    --- exit 3
    ");
}

#[test]
fn a_toc() {
    let image = Image::new();
    let position = toc::position(&image.layer(), "manifest-position");
    insta::assert_snapshot!(image.flipped(position.start + 20), @"
    $ morsel pull --root store docker://HOST/image:latest
    --- stderr
    error: cannot pull `HOST/image:latest`
      cause: cannot bring in layer sha256:097a4d..
      cause: digest of the TOC is sha256:cd2319.., expected sha256:b7ca79..
    --- exit 3
    ");
}

#[test]
fn a_tar_split() {
    let image = Image::new();
    let position = toc::position(&image.layer(), "tarsplit-position");
    insta::assert_snapshot!(image.flipped(position.start + 20), @"
    $ morsel pull --root store docker://HOST/image:latest
    --- stderr
    error: cannot pull `HOST/image:latest`
      cause: cannot bring in layer sha256:097a4d..
      cause: digest of the tar-split is sha256:b2dcf9.., expected sha256:3c6522..
    --- exit 3
    ");
}

#[test]
fn a_chunk() {
    let image = Image::new();
    let chunk = image.rows().into_iter().find(|row| row["type"] == "chunk").unwrap();
    let offset = chunk["offset"].as_u64().unwrap() as usize;
    insta::assert_snapshot!(image.flipped(offset + 1000), @"
    $ morsel pull --root store docker://HOST/image:latest
    --- stderr
    error: cannot pull `HOST/image:latest`
      cause: cannot bring in layer sha256:097a4d..
      cause: the digest of bytes 20064..40064 of `./large` is sha256:679123.., the TOC has sha256:d8dcf9..
    --- exit 3
    ");
}

#[test]
fn a_file_whose_chunks_are_right() {
    let image = Image::new();
    let (blob, layer) = toc::rewrite(&image.layout().blob(digest(&image.layer())), &image.layer(), |toc| {
        let rows = toc["entries"].as_array_mut().unwrap();
        let large = rows.iter_mut().find(|row| row["name"] == "./large" && row["type"] == "reg").unwrap();
        large["digest"] = oci::digest(b"other").into();
    });
    image.layout().add_blob("", &blob);
    insta::assert_snapshot!(image.forged(&layer, image.diff_id()), @"
    $ morsel pull --root store docker://HOST/image:forged
    --- stderr
    error: cannot pull `HOST/image:forged`
      cause: cannot bring in layer sha256:474bb9..
      cause: the digest of `./large` is sha256:af714f.., the TOC has sha256:d9298a..
    --- exit 3
    ");
}

#[test]
fn a_diff_id() {
    let image = Image::new();
    insta::assert_snapshot!(image.forged(&image.layer(), oci::digest(b"other")), @"
    $ morsel pull --root store docker://HOST/image:forged
    --- stderr
    error: cannot pull `HOST/image:forged`
      cause: cannot bring in layer sha256:097a4d..
      cause: the diff ID of the layer is sha256:778307.., the image's configuration has sha256:d9298a..
    --- exit 3
    ");
}

#[test]
fn a_chunk_of_a_pull_that_was_killed_before_anybody_noticed() {
    // Its frame is not here altogether, so nobody can tell.
    interrupted(10_100, |pull| {
        assert!(pull.try_wait().unwrap().is_none(), "it ended before it was killed");
    });
}

#[test]
fn a_chunk_of_a_pull_that_may_notice_before_it_is_killed() {
    interrupted(5 << 20, |_| {});
}

/// Pulls an image of which the byte 10 000 is wrong from a registry that sends no more than `sent` bytes, kills the pull if it has
/// not ended by then, and pulls from one where all is right.
fn interrupted(sent: u64, check: impl FnOnce(&mut std::process::Child)) {
    let sandbox = Sandbox::new();
    let tar = Tar::new().dir("./").file("./large", data::stream(1, 6 << 20)).finish();
    let image = Converted::new(&sandbox.path(""), vec![tar]);
    let layer = image.target.layers("latest").remove(0);
    let good = image.target.blob(digest(&layer));
    let mut tampered = good.clone();
    tampered[10_000] ^= 1;

    let blob = image.target.blob_path(digest(&layer));
    fs::write(&blob, &tampered).unwrap();
    let stall = Fault::new(Target::Blobs, Misdeed::Stall { after: sent }).always();
    let bad = Scripted::start(Script { faults: vec![stall], ..Script::default() });
    bad.add_layout("image", &image.target);
    let mut pull = sandbox.start(&format!("morsel pull --root store docker://{}/image:latest", bad.host()));
    let is_stalled = || bad.requests().iter().any(|request| request.sent == sent);
    while pull.try_wait().unwrap().is_none() && !is_stalled() {
        thread::sleep(Duration::from_millis(10));
    }
    check(&mut pull);
    let _ = pull.kill();
    assert!(!pull.wait().unwrap().success());

    fs::write(&blob, &good).unwrap();
    let registry = Scripted::start(Script::default());
    registry.add_layout("image", &image.target);
    let line = format!("morsel pull --root store docker://{}/image:latest", registry.host());
    // What was left may be found to be wrong only now, and is forgotten then.
    sandbox.run(&line);
    sandbox.stdout(&line);
    let objects = objects(&sandbox.path("store"));
    assert!(objects.contains(oci::digest(&data::stream(1, 6 << 20)).trim_start_matches("sha256:")));
}
