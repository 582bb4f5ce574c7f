//! Pulls that end too early, by signals and full disks, and pulls side by side: what was verified is not fetched again, and
//! nothing is left that is not what it seems.

use std::collections::{BTreeSet, HashSet};
use std::env;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use testkit::link::Link;
use testkit::process::run;
use testkit::scripted::{Request, Script, Scripted};
use testkit::tar::Tar;
use testkit::tools::{self, Tier};
use testkit::{data, toc};

use crate::harness::{Converted, digest, morsel};
use crate::update::objects;

/// Names the directory that a copy of a test is to work in.
const DIR: &str = "MORSEL_TEST_DIR";

/// An image in a registry that is far away.
struct Scene {
    dir: PathBuf,
    image: Converted,
    registry: Scripted,
}

impl Scene {
    /// Makes an image of three layers, about 5 MB together: many small files, one large one, a bit of both.
    fn new(dir: &Path, megabits: u64) -> Self {
        let small = |seeds: std::ops::Range<u64>| {
            seeds.fold(Tar::new(), |tar, seed| {
                tar.file(format!("small/{seed}"), data::stream(seed, 500 + 797 * seed as usize % 30_000))
            })
        };
        let large = |seed| [data::stream(seed, 1_200_000), data::text(seed, 1_000_000)].concat();
        let tars = vec![
            small(0..100).finish(),
            Tar::new().file("large", large(1000)).finish(),
            small(80..130).file("other", large(1001)).finish(),
        ];
        let image = Converted::new(&dir.join("image"), tars);
        let link = Some(Link::of_megabits(megabits, 2));
        let registry = Scripted::start(Script { link, ..Script::default() });
        registry.add_layout("image", &image.target);
        Self { dir: dir.to_owned(), image, registry }
    }

    fn store(&self) -> PathBuf {
        self.dir.join("store")
    }

    fn morsel(&self, verb: &str) -> Command {
        let mut command = morsel();
        command.arg(verb).arg("--root").arg(self.store()).env("HOME", self.dir.join("home"));
        for variable in ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"] {
            command.env_remove(variable);
        }
        command
    }

    fn pull(&self) -> Command {
        let mut command = self.morsel("pull");
        command.arg("--json").arg(format!("docker://{}/image:latest", self.registry.host()));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts a pull, and sends it a signal when the registry has sent so many more bytes; `None` when it ended before that.
    fn interrupt(&self, after: u64, signal: Signal) -> Option<Output> {
        let before = self.registry.counters().sent;
        let mut child = self.pull().spawn().unwrap();
        while child.try_wait().unwrap().is_none() {
            if self.registry.counters().sent - before >= after {
                send(&child, signal);
                return Some(child.wait_with_output().unwrap());
            }
            sleep(Duration::from_millis(1));
        }
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        None
    }

    fn complete(&self) {
        run(&mut self.pull());
    }

    fn is_clean(&self) {
        run(&mut self.morsel("fsck"));
    }

    /// Checks that the store holds exactly what the image does, once what killed pulls left is swept up.
    fn is_complete(&self) {
        self.is_clean();
        run(&mut self.morsel("gc"));
        assert_eq!(objects(&self.store()), self.contents());
        for name in ["partial", "tmp"] {
            assert_eq!(self.store().join(name).read_dir().unwrap().count(), 0, "{name} is empty");
        }
    }

    fn rows(&self) -> Vec<Vec<serde_json::Map<String, Value>>> {
        self.image.layers().map(|(layer, blob, _)| toc::rows(&blob, &layer)).collect()
    }

    fn contents(&self) -> BTreeSet<String> {
        let rows = self.rows().into_iter().flatten();
        rows.filter_map(|row| Some(row.get("digest")?.as_str()?.strip_prefix("sha256:")?.to_owned()))
            .collect()
    }

    /// Returns the blob length of the longest chunk.
    fn longest_chunk(&self) -> u64 {
        let longest = |rows: Vec<serde_json::Map<String, Value>>| {
            let offset =
                |row: &serde_json::Map<String, Value>, key: &str| row.get(key).and_then(Value::as_u64);
            let mut edges: Vec<_> = rows
                .iter()
                .flat_map(|row| [offset(row, "offset"), offset(row, "endOffset")])
                .flatten()
                .collect();
            edges.sort_unstable();
            edges.windows(2).map(|edge| edge[1] - edge[0]).max().unwrap_or(0)
        };
        self.rows().into_iter().map(longest).max().unwrap()
    }

    /// Returns the bytes of all blobs, and those of them that are metadata.
    fn lens(&self) -> (u64, u64) {
        let of = |(layer, blob, _): (Value, Vec<u8>, &[u8])| {
            let position =
                layer["annotations"]["io.github.containers.zstd-chunked.manifest-position"].clone();
            let start: u64 = position.as_str().unwrap().split(':').next().unwrap().parse().unwrap();
            (blob.len() as u64, blob.len() as u64 - start)
        };
        self.image.layers().map(of).fold((0, 0), |sum, lens| (sum.0 + lens.0, sum.1 + lens.1))
    }

    /// Picks the requests for layers.
    fn requests(&self) -> Vec<Request> {
        let layers = self.image.target.layers("latest");
        let is_layer = |request: &Request| layers.iter().any(|layer| request.path.contains(digest(layer)));
        self.registry.requests().into_iter().filter(is_layer).collect()
    }
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Numbers that look random, the same in every run.
fn random() -> impl FnMut(u64) -> u64 {
    let mut stream = data::Stream::new(31);
    move |below| {
        let mut bytes = [0; 8];
        stream.fill(&mut bytes);
        u64::from_le_bytes(bytes) % below
    }
}

/// Kills pulls again and again, each after about a twelfth of the image came; begins anew once all of it is here.
#[test]
fn a_pull_that_is_killed_fifty_times_goes_on_where_it_was() {
    const KILLS: usize = 50;
    let dir = tempfile::tempdir().unwrap();
    let scene = Scene::new(dir.path(), 60);
    let (len, metadata) = scene.lens();
    let mut random = random();
    let mut killed = 0;
    while killed < KILLS {
        scene.registry.forget_requests();
        let mut runs = 1;
        let mut connections = 0;
        while killed < KILLS
            && let Some(output) = scene.interrupt(random(len / 6), Signal::KILL)
        {
            assert_eq!(output.status.signal(), Some(9));
            killed += 1;
            runs += 1;
            connections =
                connections.max(scene.requests().iter().map(|r| r.connection).collect::<HashSet<_>>().len());
            scene.is_clean();
        }
        scene.complete();
        scene.is_complete();
        let sent: u64 = scene.requests().iter().map(|request| request.sent).sum();
        // Parts of an answer have headers.
        let overhead = 200 * scene.requests().iter().map(ranges_of).map(|r| r.len() as u64).sum::<u64>();
        let lost = (runs - 1) * connections as u64 * scene.longest_chunk();
        let most = len + runs * metadata + lost + overhead;
        assert!(sent <= most, "{sent} bytes came in {runs} pulls, at most {most} expected");
        std::fs::remove_dir_all(scene.store()).unwrap();
    }
}

#[test]
fn a_pull_that_is_interrupted_ends_by_the_signal_and_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let scene = Scene::new(dir.path(), 60);
    let (len, metadata) = scene.lens();
    for signal in [Signal::INT, Signal::TERM] {
        let output = scene.interrupt(len / 3, signal).unwrap();
        assert_eq!(output.status.signal(), Some(signal.as_raw()), "{}", text(&output.stderr));
        scene.is_clean();
    }
    let output = scene.pull().output().unwrap();
    scene.is_complete();
    let receipt: Value = serde_json::from_slice(&output.stdout).unwrap();
    let needed = receipt["total"]["needed"].as_u64().unwrap();
    assert!(needed < len / 2 - metadata, "{needed} of {len} bytes were left");
}

/// Reads the ranges that a request asked for.
fn ranges_of(request: &Request) -> Vec<(u64, u64)> {
    let Some(ranges) = request.range.as_ref().and_then(|range| range.strip_prefix("bytes=")) else {
        return vec![];
    };
    let range = |range: &str| {
        let (first, last) = range.split_once('-').unwrap();
        (first.parse().unwrap(), last.parse::<u64>().unwrap() + 1)
    };
    ranges.split(',').map(range).collect()
}

#[test]
fn two_pulls_of_one_image_at_once_fetch_every_chunk_once() {
    let dir = tempfile::tempdir().unwrap();
    let scene = Scene::new(dir.path(), 60);
    let children = [scene.pull().spawn().unwrap(), scene.pull().spawn().unwrap()];
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    scene.is_complete();
    let (len, metadata) = scene.lens();
    let sent: u64 = scene.requests().iter().map(|request| request.sent).sum();
    let parts = scene.requests().iter().map(ranges_of).map(|ranges| ranges.len() as u64).sum::<u64>();
    assert!(sent <= len + metadata + 200 * parts, "{sent} bytes came of {len}");
    for layer in scene.image.target.layers("latest") {
        let requests = scene.requests();
        let of_layer = requests.iter().filter(|request| request.path.contains(digest(&layer)));
        let mut ranges: Vec<_> = of_layer.flat_map(ranges_of).collect();
        ranges.sort_unstable();
        assert!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{ranges:?}");
    }
}

/// Runs the test `name` of this program again, in a file system of 3 MiB of its own; `None` in the copy's stead.
fn in_small_file_system(name: &str) -> Option<PathBuf> {
    if let Some(dir) = env::var_os(DIR) {
        return Some(PathBuf::from(dir));
    }
    if !tools::is_root(Tier::Root) {
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("store")).unwrap();
    let script = r#"mount -t tmpfs -o size=3m tmpfs "$MORSEL_TEST_DIR/store" && exec "$0" --exact "$1""#;
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(env::current_exe().unwrap()).arg(name);
    let output = command.env(DIR, dir.path()).output().unwrap();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    None
}

fn remount(scene: &Scene, options: &str) {
    run(Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(scene.store()));
}

/// Pulls onto a disk that has no room for it, and returns what was said.
fn refused(scene: &Scene, reference: &str) -> String {
    let output = scene.morsel("pull").arg(reference).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    text(&output.stderr)
}

#[test]
fn root_a_pull_onto_a_full_disk_says_so_and_goes_on_once_there_is_room() {
    let Some(dir) = in_small_file_system(
        "pull_crash::root_a_pull_onto_a_full_disk_says_so_and_goes_on_once_there_is_room",
    ) else {
        return;
    };
    let scene = Scene::new(&dir, 1000);
    let remote = format!("docker://{}/image:latest", scene.registry.host());
    for reference in [remote, scene.image.source.reference("latest")] {
        let said = refused(&scene, &reference);
        assert!(said.contains("no space left on device"), "{said}");
        assert!(said.contains("hint: free space"), "{said}");
        scene.is_clean();
        assert_eq!(run(scene.morsel("images").arg("--json")).text(), "[]\n");
    }
    remount(&scene, "size=64m");
    scene.complete();
    scene.is_clean();
    assert_eq!(objects(&scene.store()), scene.contents());
}

#[test]
fn root_a_pull_into_a_store_that_cannot_be_written_says_so() {
    let Some(dir) =
        in_small_file_system("pull_crash::root_a_pull_into_a_store_that_cannot_be_written_says_so")
    else {
        return;
    };
    let scene = Scene::new(&dir, 1000);
    let remote = format!("docker://{}/image:latest", scene.registry.host());
    remount(&scene, "ro");
    assert!(refused(&scene, &remote).contains("read-only file system"));
    remount(&scene, "rw,size=64m");
    scene.complete();
    remount(&scene, "ro");
    let said = refused(&scene, &scene.image.source.reference("latest"));
    assert!(said.contains("read-only file system"), "{said}");
    remount(&scene, "rw");
    scene.is_complete();
}
