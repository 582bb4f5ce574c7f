//! `morsel mount` and what goes with it. Every test has a mount namespace or takes its mounts away itself.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use testkit::compare::{Facts, Listing};
use testkit::engine::Podman;
use testkit::oci::{self, Compression, Layout};
use testkit::process::run;
use testkit::tar::{Member, Tar, sample};
use testkit::tools::{self, PeerRoot, Tier};

use crate::harness::morsel;
use crate::sandbox::{Sandbox, Unmount, small_tar};

const IMAGE: &str = "oci:image:latest";

/// A sandbox with an image, whose mounts go away before it does.
struct Place {
    _mounts: [Unmount; 3],
    sandbox: Sandbox,
}

impl Place {
    fn new(layers: &[Vec<u8>]) -> Self {
        let sandbox = Sandbox::new();
        let layers: Vec<_> = layers.iter().map(Vec::as_slice).collect();
        Layout::create(sandbox.path("image")).add_image("latest", Compression::Gzip, &layers);
        // The kernel lists mounts by paths without links.
        let root = sandbox.path("").canonicalize().unwrap();
        let mounts = ["mnt", "top", "other"].map(|name| Unmount(root.join(name)));
        Self { _mounts: mounts, sandbox }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.sandbox.path("").canonicalize().unwrap().join(name)
    }

    /// Runs a command line in the store `store`, and returns what it said, without the name of the sandbox.
    fn run(&self, line: &str) -> String {
        let said = self.sandbox.run(&format!("{line} --root store"));
        said.replace(&self.path("").display().to_string(), "[dir]/").replace("[dir]//", "[dir]/")
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_slice(&self.sandbox.stdout(&format!("{line} --root store --json"))).unwrap()
    }
}

fn is_any(_: &str, _: &Facts) -> bool {
    true
}

/// A layer, and one that hides half of it.
fn layers() -> Vec<Vec<u8>> {
    let upper = Tar::new()
        .dir("./etc/")
        .file("./etc/hostname", "other\n")
        .file("./etc/.wh.note", "")
        .member(Member::hardlink("./etc/host", "./etc/hostname"))
        .finish();
    vec![small_tar(), upper]
}

#[test]
fn root_a_mounted_image_is_the_unpacked_one() {
    if !tools::is_root(Tier::Root) {
        return;
    }
    let lower = Tar::new().dir("./etc/").file("./etc/gone", "gone").finish();
    let crowd = (0..3000).map(|n| Member::file(format!("crowd/{n}"), format!("{}", n % 50)));
    let deep = Tar::new().file("a/".repeat(200) + "file", "deep").file("n".repeat(255), "long");
    let images = [
        vec![small_tar()],
        layers(),
        vec![lower, sample::rich_tar()],
        vec![Tar::new().members(crowd).finish()],
        vec![deep.finish()],
    ];
    for layers in images {
        let place = Place::new(&layers);
        place.json(&format!("morsel mount {IMAGE} mnt"));
        place.sandbox.stdout(&format!("morsel unpack --quiet {IMAGE} tree --root store"));
        // ext4 has no times after 2446.
        let is_late = |path: &str, _: &Facts| path == "base256";
        let read =
            |name| Listing::read(&place.path(name)).without("holes", is_any).without("modified", is_late);
        read("mnt").assert_same(&read("tree"));
    }
}

#[test]
fn root_of_several_who_mount_on_one_directory_one_does() {
    if !tools::is_root(Tier::Root) {
        return;
    }
    let place = Place::new(&layers());
    place.sandbox.stdout(&format!("morsel pull --quiet {IMAGE} --root store"));
    let line = format!("morsel mount --quiet {IMAGE} mnt --root store");
    let mounts: Vec<_> = (0..6).map(|_| place.sandbox.command(&line).spawn().unwrap()).collect();
    let outputs = mounts.into_iter().map(|mount| mount.wait_with_output().unwrap());
    let (won, lost): (Vec<_>, Vec<_>) = outputs.partition(|output| output.status.success());
    assert_eq!((won.len(), lost.len()), (1, 5));
    for output in lost {
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("an image is mounted on"), "{said}");
    }
    place.run("morsel umount mnt");
    assert!(fs::read_dir(place.path("mnt")).unwrap().next().is_none());
}

#[test]
fn root_a_mount_is_made_listed_kept_restored_and_taken_away() {
    if !tools::is_root(Tier::Root) {
        return;
    }
    let place = Place::new(&layers());
    let report = place.json(&format!("morsel mount {IMAGE} mnt"));
    assert_eq!((&report["checked"], &report["is_new"]), (&"content".into(), &true.into()), "{report}");
    insta::assert_snapshot!(place.run(&format!("morsel mount {IMAGE} mnt")), @"
    $ morsel mount oci:image:latest mnt --root store
    --- stderr
    error: cannot mount `oci:image:latest` on `mnt`
      cause: an image is mounted on `[dir]/mnt`
    --- exit 1
    ");
    insta::assert_snapshot!(place.run("morsel mounts"), @"
    $ morsel mounts --root store
    directory            image             changes  state    missing
    [dir]/mnt  oci:image:latest  none     mounted  nothing
    ");

    // The image may go, its content stays as long as it is mounted.
    place.sandbox.stdout(&format!("morsel rm {IMAGE} --root store"));
    insta::assert_snapshot!(place.run("morsel gc"), @"
    $ morsel gc --root store
    there is nothing to remove
    ");
    assert_eq!(fs::read(place.path("mnt/etc/hostname")).unwrap(), b"other\n");

    let open = fs::File::open(place.path("mnt/etc/hostname")).unwrap();
    insta::assert_snapshot!(place.run("morsel umount mnt"), @"
    $ morsel umount mnt --root store
    --- stderr
    error: cannot unmount `mnt`
      cause: the mount on `[dir]/mnt` is in use
    hint: `fuser -vm DIR` says who uses it; `--lazy` takes it away all the same
    --- exit 7
    ");
    drop(open);

    // As after a reboot: nothing is mounted, and the registry is gone.
    run(Command::new("umount").arg(place.path("mnt")));
    fs::rename(place.path("image"), place.path("moved")).unwrap();
    insta::assert_snapshot!(place.run("morsel mounts"), @"
    $ morsel mounts --root store
    directory            image             changes  state        missing
    [dir]/mnt  oci:image:latest  none     not mounted  nothing
    ");
    insta::assert_snapshot!(place.run("morsel restore"), @"
    $ morsel restore --root store
    --- stderr
    oci:image:latest: mounted on [dir]/mnt
    ");
    assert_eq!(fs::read(place.path("mnt/etc/hostname")).unwrap(), b"other\n");
    insta::assert_snapshot!(place.run("morsel restore"), @"$ morsel restore --root store");

    insta::assert_snapshot!(place.run("morsel umount mnt"), @"$ morsel umount mnt --root store");
    insta::assert_snapshot!(place.run("morsel umount mnt"), @"
    $ morsel umount mnt --root store
    --- stderr
    error: cannot unmount `mnt`
      cause: no image of this store is mounted on `[dir]/mnt`
    --- exit 4
    ");
    assert!(fs::read_dir(place.path("mnt")).unwrap().next().is_none());
    insta::assert_snapshot!(place.run("morsel gc"), @"
    $ morsel gc --root store
    removed                         number     size
    layers                               2
    file contents                        3  4.9 KiB
    manifests, indexes and configs       2    812 B
    ");
    assert!(fs::read_dir(place.path("store/chains")).unwrap().next().is_none());
}

#[test]
fn root_metadata_that_is_lost_is_made_again() {
    if !tools::is_root(Tier::Root) {
        return;
    }
    let place = Place::new(&layers());
    place.json(&format!("morsel mount {IMAGE} mnt"));
    place.sandbox.stdout("morsel umount mnt --root store");
    assert_eq!(place.json(&format!("morsel mount {IMAGE} mnt"))["is_new"], false);
    run(Command::new("umount").arg(place.path("mnt")));
    for entry in fs::read_dir(place.path("store/chains")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    place.sandbox.stdout("morsel restore --root store");
    assert_eq!(fs::read(place.path("mnt/etc/hostname")).unwrap(), b"other\n");
}

#[test]
fn root_changes_are_kept_in_a_directory_of_ones_choice() {
    if !tools::is_root(Tier::Root) {
        return;
    }
    let place = Place::new(&layers());
    place.json(&format!("morsel mount {IMAGE} mnt --rw changes"));
    fs::write(place.path("mnt/etc/hostname"), "mine\n").unwrap();
    fs::remove_file(place.path("mnt/etc/link")).unwrap();
    insta::assert_snapshot!(place.run(&format!("morsel mount {IMAGE} other --rw changes")), @"
    $ morsel mount oci:image:latest other --rw changes --root store
    --- stderr
    error: cannot mount `oci:image:latest` on `other`
      cause: the changes of the mount on `[dir]/mnt` go to `[dir]/changes`
    --- exit 1
    ");
    place.sandbox.stdout("morsel umount mnt --root store");
    assert_eq!(fs::read(place.path("changes/upper/etc/hostname")).unwrap(), b"mine\n");

    place.json(&format!("morsel mount {IMAGE} mnt --rw changes"));
    assert_eq!(fs::read(place.path("mnt/etc/hostname")).unwrap(), b"mine\n");
    assert!(!place.path("mnt/etc/link").exists() && place.path("mnt/etc/host").exists());
}

/// A read-only subset of what POSIX says of files, as a container would try it.
#[test]
fn root_a_read_only_mount_refuses_every_change() {
    if !tools::is_root(Tier::Root) {
        return;
    }
    let place = Place::new(&layers());
    place.json(&format!("morsel mount {IMAGE} mnt"));
    let script = "cd mnt; set +e
        touch new; mkdir new; ln etc/note new; ln -s x new; mv etc/host new; rm etc/host; rmdir etc
        chmod 600 etc/host; chown 1 etc/host; touch etc/host; truncate -s 0 etc/host; mknod new p
        echo x >etc/host; setfattr -n user.x -v 1 etc/host";
    let mut sh = Command::new("sh");
    let output = sh.args(["-c", script]).current_dir(place.path("")).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    let refused = errors.lines().filter(|line| line.contains("Read-only file system")).count();
    // What has a wrong name, or no program, is refused for that.
    assert!(refused >= 11, "{errors}");
    assert_eq!(fs::read(place.path("mnt/etc/host")).unwrap(), b"other\n");

    let metadata = fs::metadata(place.path("mnt/etc/host")).unwrap();
    use std::os::unix::fs::MetadataExt;
    let other = fs::metadata(place.path("mnt/etc/hostname")).unwrap();
    assert_eq!((metadata.nlink(), metadata.ino(), metadata.dev()), (2, other.ino(), other.dev()));
}

#[test]
fn root_another_overlay_goes_on_top() {
    if !tools::is_root(Tier::Root) {
        return;
    }
    let place = Place::new(&layers());
    place.json(&format!("morsel mount {IMAGE} mnt"));
    for name in ["upper", "work", "top"] {
        fs::create_dir(place.path(name)).unwrap();
    }
    let [lower, upper, work] = ["mnt", "upper", "work"].map(|name| place.path(name).display().to_string());
    let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
    run(Command::new("mount").args(["-t", "overlay", "top", "-o", &options]).arg(place.path("top")));
    fs::set_permissions(place.path("top/etc/host"), fs::Permissions::from_mode(0o600)).unwrap();
    chown(place.path("top/etc/hostname"), Some(7), None).unwrap();
    fs::write(place.path("top/etc/new"), "new").unwrap();
    fs::remove_file(place.path("top/etc/link")).unwrap();
    assert_eq!(fs::read(place.path("top/etc/host")).unwrap(), b"other\n");
    assert_eq!(fs::read(place.path("upper/etc/hostname")).unwrap(), b"other\n");
    assert!(place.path("mnt/etc/link").symlink_metadata().is_ok());
}

#[test]
fn engine_podman_runs_a_container_on_a_mount() {
    let dir = tempfile::tempdir().unwrap();
    let Some(podman) = Podman::start("sid", dir.path()) else { return };
    let Some(root) = PeerRoot::find(Tier::Engine, "sid", "dash") else { return };
    // The shell of the root, and the libraries it needs.
    let script =
        "set -- $(ldd /usr/bin/dash | grep -o '/[^ ]*'); tar -C / -hc /usr/bin/dash $(realpath -s \"$@\")";
    let shell = run(root.command("sh", &[]).args(["-c", script])).stdout;
    let layout = Layout::create(dir.path().join("image"));
    let note = Tar::new().dir("./etc/").file("./etc/note", "from the image\n").finish();
    layout.add_image("latest", Compression::Gzip, &[&shell, &note]);

    let (mnt, store) = (podman.dir().join("mnt"), dir.path().join("store"));
    let _mount = Unmount(mnt.clone());
    let mut mount = morsel();
    run(mount.args(["mount", "--quiet", &layout.reference("latest")]).arg(&mnt).arg("--root").arg(&store));
    let script = "read a </etc/note; echo changed >/etc/note; read b </etc/note; echo $a, $b";
    // The engine puts an overlay of its own on top, which takes what is written.
    let rootfs = format!("{}:O", mnt.display());
    let said = podman.run_rootfs(&rootfs, &["/usr/bin/dash", "-c", script]);
    run(morsel().arg("umount").arg(&mnt).arg("--root").arg(&store));
    assert_eq!(said, "from the image, changed\n");
}

#[test]
fn root_an_ordinary_user_mounts_in_a_namespace() {
    if !tools::is_root(Tier::Root) {
        return;
    }
    let place = Place::new(&layers());
    place.sandbox.stdout(&format!("morsel convert --quiet {IMAGE} oci:chunked:latest"));
    fs::create_dir(place.path("mnt")).unwrap();
    run(Command::new("chown").args(["-R", "65534:65534"]).arg(place.path("")));
    // Some machines let everybody open /dev/fuse; here it is a file that nobody may.
    let script = "set -e
        mount --bind /etc/shadow /dev/fuse
        $0 mount --json --root store oci:chunked:latest mnt
        cat mnt/etc/hostname >&2; stat -c %a mnt/etc/link >&2
        $0 mount --quiet --root store --rw changes oci:chunked:latest top
        echo mine >top/etc/hostname; cat top/etc/hostname >&2
        $0 umount --root store mnt; $0 umount --root store top";
    let mut user = Command::new("setpriv");
    user.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    user.args(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]);
    let written = run(user.arg(env!("CARGO_BIN_EXE_morsel")).current_dir(place.path("")));
    assert_eq!(written.stderr, "other\n777\nmine\n");
    let report: Value = serde_json::from_slice(&written.stdout).unwrap();
    insta::assert_snapshot!(report["metadata"], @r#"{"kind":"tree","why":"EROFS cannot be mounted in a user namespace"}"#);
    // What would be served is pulled.
    insta::assert_snapshot!(report["no_daemon"], @r#""cannot open `/dev/fuse`: Permission denied (os error 13)""#);

    let mut user = Command::new("setpriv");
    user.args(["--reuid=65534", "--regid=65534", "--clear-groups", env!("CARGO_BIN_EXE_morsel")]);
    let refused = user.args(["mount", IMAGE, "mnt", "--root", "store"]).current_dir(place.path(""));
    let refused = refused.output().unwrap();
    insta::assert_snapshot!(String::from_utf8(refused.stderr).unwrap(), @"
    error: cannot mount `oci:image:latest` on `mnt`
      cause: cannot mount overlay
      cause: operation not permitted
    hint: mounting takes root, or a namespace of one's own: `unshare --user --map-root-user --mount`
    ");

    let mut user = Command::new("setpriv");
    user.args(["--reuid=65534", "--regid=65534", "--clear-groups", env!("CARGO_BIN_EXE_morsel")]);
    user.args(["mount", IMAGE, "mnt", "--json", "--or-unpack", "--root", "store"]);
    let report: Value = serde_json::from_slice(&run(user.current_dir(place.path(""))).stdout).unwrap();
    assert_eq!(report["not_mounted"], "cannot mount overlay: Operation not permitted (os error 1)");
    assert_eq!(fs::read_to_string(place.path("mnt/etc/hostname")).unwrap(), "other\n");
}

#[test]
fn root_an_ordinary_user_who_may_open_fuse_waits_for_nothing() {
    if !tools::is_root(Tier::Root) {
        return;
    }
    let place = Place::new(&layers());
    place.sandbox.stdout(&format!("morsel convert --quiet {IMAGE} oci:chunked:latest"));
    fs::create_dir(place.path("mnt")).unwrap();
    run(Command::new("mknod").arg(place.path("fuse")).args(["c", "10", "229"]));
    fs::set_permissions(place.path("fuse"), fs::Permissions::from_mode(0o666)).unwrap();
    run(Command::new("chown").args(["-R", "65534:65534"]).arg(place.path("")));
    let script = "set -e
        $0 mount --quiet --no-fill --root store oci:chunked:latest mnt
        $0 daemon --root store status; cat mnt/etc/hostname >&2
        $0 wait --root store mnt; $0 detach --root store mnt
        cat mnt/etc/host >&2; $0 umount --root store mnt";
    let outside = "mount --bind fuse /dev/fuse
        exec setpriv --reuid=65534 --regid=65534 --clear-groups unshare --user --map-root-user --mount sh -c \"$1\" $0";
    let mut root = Command::new("unshare");
    root.args(["--mount", "sh", "-c", outside, env!("CARGO_BIN_EXE_morsel"), script]);
    let written = run(root.current_dir(place.path("")));
    assert_eq!(written.stderr, "other\nother\n");
    let status: Value = serde_json::from_slice(&written.stdout).unwrap();
    assert_eq!(status["images"][0]["contents_here"], 0, "{status}");
}

#[test]
fn root_what_is_damaged_or_missing_is_said() {
    if !tools::is_root(Tier::Root) {
        return;
    }
    let place = Place::new(&[small_tar()]);
    insta::assert_snapshot!(place.run("morsel mount oci:none:latest mnt"), @"
    $ morsel mount oci:none:latest mnt --root store
    --- stderr
    error: cannot mount `oci:none:latest` on `mnt`
      cause: cannot open `none`
      cause: no such file or directory
    --- exit 4
    ");
    place.sandbox.write("file", "");
    insta::assert_snapshot!(place.run(&format!("morsel mount --quiet {IMAGE} file")), @"
    $ morsel mount --quiet oci:image:latest file --root store
    --- stderr
    error: cannot mount `oci:image:latest` on `file`
      cause: `[dir]/file` is not a directory
    --- exit 1
    ");
    insta::assert_snapshot!(place.run("morsel umount file"), @"
    $ morsel umount file --root store
    --- stderr
    error: cannot unmount `file`
      cause: no image of this store is mounted on `[dir]/file`
    --- exit 4
    ");

    // Content that was lost is noticed when it is read, and not shown as zeros.
    place.json(&format!("morsel mount {IMAGE} mnt"));
    let digest = oci::digest(&testkit::data::text(1, 5000));
    let hex = digest.strip_prefix("sha256:").unwrap();
    fs::remove_file(place.path(&format!("store/objects/{}/{}", &hex[..2], &hex[2..]))).unwrap();
    assert!(fs::read(place.path("mnt/etc/note")).is_err());
}
