//! `morsel unpack`, judged by what umoci and podman make of the same image.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use testkit::compare::{Facts, Listing};
use testkit::data;
use testkit::engine::Podman;
use testkit::oci::{Compression, Layout};
use testkit::process::run;
use testkit::tar::{Member, Tar, sample};
use testkit::tools::{self, PeerRoot, Tier};

use crate::harness::morsel;
use crate::sandbox::testdata;

/// An image, and a place for what is made of it.
pub(crate) struct Bench {
    dir: tempfile::TempDir,
    layout: Layout,
    tag: String,
}

impl Bench {
    pub(crate) fn new(layout: Layout, tag: &str) -> Self {
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
    pub(crate) fn unpack(&self) -> (Listing, Value) {
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
    pub(crate) fn umoci(&self, tier: Tier) -> Option<Listing> {
        let root = PeerRoot::find(tier, "sid", "umoci")?;
        let bundle = self.path("umoci");
        let image = format!("{}:{}", self.layout.dir().display(), self.tag);
        let mut umoci = root.command("umoci", &[self.dir.path(), self.layout.dir()]);
        run(umoci.args(["unpack", "--image", &image]).arg(&bundle));
        Some(Listing::read(&bundle.join("rootfs")))
    }

    /// Mounts with podman; without it the test is skipped.
    pub(crate) fn podman(&self) -> Option<Listing> {
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
        Member::hardlink("./home/link", "./replaced"),
    ];
    vec![Tar::new().members(lower).members(deep).finish(), Tar::new().members(upper).finish()]
}

#[test]
fn root_a_tree_of_two_layers_is_that_of_umoci() {
    let bench = Bench::of(&layers());
    let Some(theirs) = bench.umoci(Tier::Root) else { return };
    let (ours, _) = bench.unpack();
    ours.without("holes", is_any).assert_same(&theirs.without("holes", is_any));
}

#[test]
fn engine_a_tree_of_two_layers_is_that_of_podman() {
    let bench = Bench::of(&layers());
    let Some(theirs) = bench.podman() else { return };
    let (ours, _) = bench.unpack();
    without_root(ours).without("holes", is_any).assert_same(&without_root(theirs).without("holes", is_any));
}
