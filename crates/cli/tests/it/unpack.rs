//! `morsel unpack`, judged by what umoci and podman make of the same image.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use testkit::compare::{Facts, Listing};
use testkit::data;
use testkit::engine::Podman;
use testkit::oci::{self, Compression, Layout};
use testkit::process::run;
use testkit::tar::{Member, Tar, sample};
use testkit::tools::{self, PeerRoot, Tier};

use crate::harness::morsel;
use crate::sandbox::{Sandbox, small_tar};

/// An image, and a place for what is made of it.
struct Bench {
    dir: tempfile::TempDir,
    layout: Layout,
    tag: String,
}

impl Bench {
    fn new(layout: Layout, tag: &str) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), layout, tag: tag.to_owned() }
    }

    /// Makes an image of these layers.
    fn of(layers: &[Vec<u8>]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::create(dir.path().join("image"));
        layout.add_image("latest", Compression::Gzip, &layers.iter().map(Vec::as_slice).collect::<Vec<_>>());
        Self { dir, layout, tag: "latest".into() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Converts the image, so that its layers have TOCs of their own.
    fn convert(self) -> Self {
        let layout = Layout::open(self.path("converted"));
        let (from, to) = (self.layout.reference(&self.tag), layout.reference(&self.tag));
        run(morsel().args(["convert", "--quiet", &from, &to]));
        Self { layout, ..self }
    }

    /// Unpacks with morsel, by way of a store, and returns the tree and the report.
    fn unpack(&self) -> (Listing, Value) {
        let store = self.path("store");
        let reference = self.layout.reference(&self.tag);
        run(morsel().args(["pull", "--quiet", &reference, "--root"]).arg(&store));
        let target = self.path("ours");
        let mut unpack = morsel();
        unpack.args(["unpack", "--json", &reference]).arg(&target).arg("--root").arg(&store);
        let report = serde_json::from_slice(&run(&mut unpack).stdout).unwrap();
        (Listing::read(&target), report)
    }

    /// Unpacks with umoci; without it the test is skipped.
    fn umoci(&self, tier: Tier) -> Option<Listing> {
        let root = PeerRoot::find(tier, "sid", "umoci")?;
        let bundle = self.path("umoci");
        let image = format!("{}:{}", self.layout.dir().display(), self.tag);
        let mut umoci = root.command("umoci", &[self.dir.path(), self.layout.dir()]);
        run(umoci.args(["unpack", "--image", &image]).arg(&bundle));
        Some(Listing::read(&bundle.join("rootfs")))
    }

    /// Mounts with podman; without it the test is skipped.
    fn podman(&self) -> Option<Listing> {
        let podman = Podman::start("sid", self.dir.path())?;
        let target = self.path("podman-tree");
        fs::create_dir(&target).unwrap();
        podman.copy_root(&self.layout, &self.tag, &target);
        Some(Listing::read(&target))
    }
}

/// Holes are not compared: every tool makes others, and ours are those of the store.
fn is_any(_: &str, _: &Facts) -> bool {
    true
}

/// podman gives the root directory a mode and a time of its own.
fn is_root_directory(path: &str, _: &Facts) -> bool {
    path == "."
}

fn without_root(listing: Listing) -> Listing {
    ["mode", "modified", "owner"]
        .iter()
        .fold(listing, |listing, fact| listing.without(fact, is_root_directory))
}

/// Two layers with one of everything that changes between layers. Each has an entry for every directory it touches.
fn layers() -> Vec<Vec<u8>> {
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let directory = |name: &str, time| Member::dir(name).modified(time, 5);
    let lower = [
        directory("./", 10).mode(0o751),
        directory("./bin/", 11),
        Member::file("./bin/su", data::text(1, 9000)).mode(0o4755).modified(1_700_000_000, 1),
        Member::file("./bin/ping", data::text(2, 70_000))
            .mode(0o755)
            .xattr("security.capability", capability),
        Member::hardlink("./bin/ping6", "./bin/ping").mode(0o755).xattr("security.capability", capability),
        Member::symlink("./sbin", "bin").owner(3, 4).modified(1_600_000_000, 999_999_999),
        directory("./dev/", 12).mode(0o700),
        Member::char_device("./dev/null", 1, 3).mode(0o666),
        Member::block_device("./dev/loop0", 7, 0).mode(0o660).owner(0, 6),
        Member::fifo("./dev/initctl").mode(0o600).modified(77, 0),
        directory("./tmp/", 13).mode(0o1777).owner(5, 6),
        directory("./home/", 14).owner(1000, 100).mode(0o2755).xattr("user.note", "a directory"),
        Member::file("./home/attributes", "x").xattr("user.empty", "").xattr("user.bytes", [0, 0xff, b'=']),
        Member::file("./home/closed", "").mode(0),
        Member::file("./home/old", "old").modified(-1, 0).owner(1 << 31, 70_000),
        Member::sparse(
            "./home/holes",
            testkit::tar::SparseFormat::Pax10,
            4 << 20,
            &[(1 << 20, b"data"), (3 << 20, b"end")],
        ),
        Member::file("./home/zeros", vec![0; 1 << 20]),
        Member::file(format!("./home/{}", "n".repeat(255)), "long name"),
        directory("./gone/", 15),
        Member::file("./gone/file", "gone"),
        directory("./opaque/", 16),
        Member::file("./opaque/lower", "hidden"),
        directory("./opaque/inner/", 17),
        Member::file("./opaque/inner/lower", "hidden"),
        directory("./becomes-file/", 18),
        Member::file("./becomes-file/inside", "hidden"),
        Member::file("./becomes-directory", "hidden"),
        Member::symlink("./becomes-real", "bin"),
        Member::file("./one", "linked").mode(0o640),
        Member::hardlink("./two", "./one").mode(0o640),
        Member::hardlink("./three", "./one").mode(0o640),
        Member::file("./replaced", "before"),
    ];
    let deep = (1..=20).map(|depth| directory(&"./deep-directory/".repeat(depth).replace("/./", "/"), 19));
    let upper = [
        directory("./", 20).mode(0o755),
        Member::file("./.wh.gone", ""),
        Member::file("./.wh.three", ""),
        directory("./opaque/", 21).mode(0o750),
        Member::file("./opaque/early", "1"),
        Member::file("./opaque/.wh..wh..opq", ""),
        Member::file("./opaque/late", "2"),
        Member::file("./becomes-file", "file now"),
        directory("./becomes-directory/", 22),
        Member::file("./becomes-directory/inside", "new"),
        directory("./becomes-real/", 23),
        Member::file("./becomes-real/inside", "new"),
        Member::file("./one", "replaced").mode(0o604),
        Member::file("./replaced", "after").modified(5, 0),
        directory("./home/", 24).owner(1000, 100).mode(0o700),
        Member::hardlink("./home/link", "./replaced").modified(5, 0),
    ];
    vec![Tar::new().members(lower).members(deep).finish(), Tar::new().members(upper).finish()]
}

#[test]
fn root_a_tree_of_two_layers_is_that_of_umoci() {
    let bench = Bench::of(&layers());
    let Some(theirs) = bench.umoci(Tier::Root) else { return };
    let (ours, report) = bench.unpack();
    // It drops attributes without a value.
    let ours = ours.without("xattrs", |path, _| path == "home/attributes");
    let theirs = theirs.without("xattrs", |path, _| path == "home/attributes");
    ours.without("holes", is_any).assert_same(&theirs.without("holes", is_any));
    assert_eq!(report["skipped"], serde_json::json!([]));
}

#[test]
fn engine_a_tree_of_two_layers_is_that_of_podman() {
    let bench = Bench::of(&layers()).convert();
    let Some(theirs) = bench.podman() else { return };
    let (ours, _) = bench.unpack();
    // It knows no time before 1970.
    let ours = ours.without("modified", |path, _| path == "home/old");
    let theirs = theirs.without("modified", |path, _| path == "home/old");
    without_root(ours).without("holes", is_any).assert_same(&without_root(theirs).without("holes", is_any));
}

/// Returns the sample, and below it what it hides: whiteouts that hide nothing are beyond overlayfs.
fn sample_and_below() -> [Vec<u8>; 2] {
    let below = Tar::new()
        .dir("./etc/")
        .file("./etc/gone", "gone")
        .dir("./etc/opaque/")
        .file("./etc/opaque/gone", "gone");
    [below.finish(), sample::rich_tar()]
}

#[test]
fn root_the_sample_is_that_of_umoci() {
    let bench = Bench::of(&sample_and_below());
    let Some(theirs) = bench.umoci(Tier::Root) else { return };
    let (ours, _) = bench.unpack();
    // Where the sample has no entry for a directory, umoci makes one from now, and of a link's mode it takes no note.
    let clean = |listing: Listing| {
        let listing = listing.without("modified", |_, facts| facts["type"] == "directory");
        let listing = listing.without("mode", |path, _| path.starts_with("etc/note"));
        // Of times after 2262 it makes others.
        listing.without("modified", |path, _| path == "base256").without("holes", is_any)
    };
    clean(ours).assert_same(&clean(theirs));
}

#[test]
fn engine_the_sample_is_that_of_podman() {
    let bench = Bench::of(&sample_and_below()).convert();
    let Some(theirs) = bench.podman() else { return };
    let (ours, _) = bench.unpack();
    let clean = |listing: Listing| {
        let listing = listing.without("modified", |_, facts| facts["type"] == "directory");
        let listing = listing.without("modified", |path, _| ["etc/old", "base256"].contains(&path));
        without_root(listing.without("holes", is_any))
    };
    clean(ours).assert_same(&clean(theirs));
}

#[test]
fn holes_are_kept_from_the_tar_to_the_tree() {
    let tar = Tar::new().file("zeros", vec![0; 4 << 20]).file("data", data::stream(1, 2 << 20)).finish();
    let (ours, _) = Bench::of(&[tar]).unpack();
    let blocks: u64 = ours.paths()["zeros"]["holes"].parse().unwrap();
    assert!(blocks >= 1020, "{blocks} of 1024 blocks are holes");
    assert_eq!(ours.paths()["data"]["holes"], "0");
}

/// Returns a sandbox with a store that has one image, `oci:image:latest`.
fn sandbox(tar: &[u8]) -> Sandbox {
    let sandbox = Sandbox::new();
    Layout::create(sandbox.path("image")).add_image("latest", Compression::None, &[tar]);
    sandbox.stdout("morsel pull --quiet oci:image:latest --root store");
    sandbox
}

#[test]
fn what_cannot_be_done_is_said() {
    let sandbox = sandbox(&small_tar());
    sandbox.write("file", "");
    insta::assert_snapshot!(sandbox.run("morsel unpack oci:image:latest tree --root none"), @"
    $ morsel unpack oci:image:latest tree --root none
    --- stderr
    error: there is no store at `none`
    --- exit 4
    ");
    insta::assert_snapshot!(sandbox.run("morsel unpack other tree --root store"), @"
    $ morsel unpack other tree --root store
    --- stderr
    error: cannot unpack `other` to `tree`
      cause: there is no image `other` in the store
    --- exit 4
    ");
    insta::assert_snapshot!(sandbox.run("morsel unpack oci:image:latest file --root store"), @"
    $ morsel unpack oci:image:latest file --root store
    --- stderr
    error: cannot unpack `oci:image:latest` to `file`
      cause: `file` is not a directory, expected a new or an empty one
    --- exit 2
    ");
    insta::assert_snapshot!(sandbox.run("morsel unpack oci:image:latest store --root store"), @"
    $ morsel unpack oci:image:latest store --root store
    --- stderr
    error: cannot unpack `oci:image:latest` to `store`
      cause: `store` is not empty, expected a new or an empty directory
    --- exit 2
    ");
    insta::assert_snapshot!(sandbox.run("morsel unpack oci:image:latest none/tree --root store"), @"
    $ morsel unpack oci:image:latest none/tree --root store
    --- stderr
    error: cannot unpack `oci:image:latest` to `none/tree`
      cause: cannot open `none`
      cause: no such file or directory
    --- exit 1
    ");
    insta::assert_snapshot!(sandbox.run("morsel unpack oci:image:latest tree --root store --owner me"), @"
    $ morsel unpack oci:image:latest tree --root store --owner me
    --- stderr
    error: invalid value 'me' for '--owner <WHO>': expected `as-is`, `squash` or `map:INSIDE:OUTSIDE:COUNT`

    For more information, try '--help'.
    --- exit 2
    ");
    insta::assert_snapshot!(
        sandbox.run("morsel unpack oci:image:latest tree --root store --owner map:5000:1:1"), @"
    $ morsel unpack oci:image:latest tree --root store --owner map:5000:1:1
    --- stderr
    error: cannot unpack `oci:image:latest` to `tree`
      cause: `/` of the image belongs to 0:0, which the map of owners does not have
    --- exit 2
    ");
    assert_eq!(sandbox.names(), ["file", "image", "store"]);
}

#[test]
fn root_a_mount_point_is_refused() {
    if !tools::is_root(Tier::Root) {
        return;
    }
    let sandbox = sandbox(&small_tar());
    fs::create_dir(sandbox.path("tree")).unwrap();
    let script = "mount -t tmpfs tree tree && exec $0 unpack oci:image:latest tree --root store";
    let mut unshare = std::process::Command::new("unshare");
    unshare.args(["--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_morsel")]).current_dir(sandbox.path(""));
    let stderr = String::from_utf8(unshare.output().unwrap().stderr).unwrap();
    assert!(
        stderr.ends_with(
            "cause: `tree` is a mount point and cannot be replaced, expected a directory inside it\n"
        ),
        "{stderr}"
    );
}

#[test]
fn a_lost_content_is_missed_and_nothing_is_left() {
    let sandbox = sandbox(&small_tar());
    let digest = oci::digest(b"box\n");
    let hex = digest.strip_prefix("sha256:").unwrap();
    fs::remove_file(sandbox.path(&format!("store/objects/{}/{}", &hex[..2], &hex[2..]))).unwrap();
    insta::assert_snapshot!(sandbox.run("morsel unpack oci:image:latest tree --root store --owner squash"), @"
    $ morsel unpack oci:image:latest tree --root store --owner squash
    --- stderr
    error: cannot unpack `oci:image:latest` to `tree`
      cause: the content sha256:9d8f48.. of `tree/etc/hostname` is not there
    hint: `morsel pull` brings what is missing of an image
    --- exit 4
    ");
    assert_eq!(sandbox.names(), ["image", "store"]);
}

#[test]
fn an_interrupt_leaves_nothing_unfinished() {
    let files = (0..1000).map(|n| Member::file(format!("{}/{n}", n % 100), format!("{n}")));
    let sandbox = sandbox(&Tar::new().members(files).finish());
    let mut child = sandbox.start("morsel unpack oci:image:latest tree --root store --owner squash");
    while !sandbox.names().iter().any(|name| name.starts_with("tree")) {
        assert!(child.try_wait().unwrap().is_none(), "it ended and made nothing");
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    match output.status.success() {
        // The signal came too late.
        true => assert_eq!(fs::read_dir(sandbox.path("tree")).unwrap().count(), 100),
        false => assert_eq!(sandbox.names(), ["image", "store"]),
    }
}

/// Nobody in particular, as far as the kernel is concerned.
const NOBODY: u32 = 65534;

#[test]
fn root_without_root_files_are_ones_own_and_devices_are_left_out() {
    if !tools::is_root(Tier::Root) {
        return;
    }
    let sandbox = sandbox(&layers()[0]);
    let unpack = |line: &str| {
        let mut command = sandbox.command(line);
        let output = command.uid(NOBODY).gid(NOBODY).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    // Or what the pull left running would take files away meanwhile.
    sandbox.stdout("morsel sync --root store");
    std::os::unix::fs::chown(sandbox.path(""), Some(NOBODY), Some(NOBODY)).unwrap();
    run(std::process::Command::new("chown").args(["-R", "65534:65534"]).arg(sandbox.path("store")));

    let report = unpack("morsel unpack oci:image:latest squashed --root store --json");
    assert_eq!(report["special"], 1);
    assert_eq!(
        report["skipped"],
        serde_json::json!([
            {"reason": "device-not-permitted", "count": 2, "first": ["dev/loop0", "dev/null"]},
            {"reason": "attribute-refused", "count": 1, "first": ["bin/ping security.capability"]},
        ])
    );

    let root = sandbox.stdout("morsel unpack oci:image:latest root --root store --owner as-is --json");
    assert!(!root.is_empty());
    let clean = |listing: Listing| {
        let listing = listing.without("owner", |_, _| true).without("holes", is_any);
        listing.without("xattrs", |path, _| path.starts_with("bin/ping"))
    };
    let (ours, full) = (Listing::read(&sandbox.path("squashed")), Listing::read(&sandbox.path("root")));
    assert_eq!(ours.paths()["home"]["owner"], "65534:65534");
    assert_eq!(
        clean(ours).differences(&clean(full)),
        ["dev/loop0: only on the right", "dev/null: only on the right",]
    );
}

/// Tells whether a time is not of the image: podman makes a directory anew where an upper layer has no entry for it.
fn is_since(started: u64, modified: &str) -> bool {
    modified
        .split('.')
        .next()
        .is_some_and(|seconds| seconds.parse().is_ok_and(|seconds: u64| seconds >= started))
}

#[test]
#[ignore = "takes minutes unless optimized; `.ci/run` runs it in a release build"]
fn engine_real_trees_are_those_of_umoci_and_podman() {
    let images = crate::real::images();
    if images.is_empty() {
        return tools::skip(Tier::Engine, "there are no images: run `scripts/make-image`");
    }
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for (image, tag) in images.iter().flat_map(|image| [(image, "latest"), (image, "stacked")]) {
        let bench = Bench::new(Layout::open(image.dir()), tag);
        let (Some(umoci), Some(podman)) = (bench.umoci(Tier::Engine), bench.podman()) else { return };
        let (ours, _) = bench.unpack();
        let ours = ours.without("holes", is_any);
        ours.assert_same(&umoci.without("holes", is_any));
        let podman = podman.without("holes", is_any);
        let is_made = |path: &str, _: &Facts| is_since(started, &podman.paths()[path]["modified"]);
        let clean = |listing: Listing| {
            ["mode", "modified", "owner"].iter().fold(listing, |listing, fact| listing.without(fact, is_made))
        };
        clean(ours).assert_same(&clean(podman.clone()));
    }
}
