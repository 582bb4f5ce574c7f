//! Images that are mounted before their content is here: readers that outlive the daemon, registries that misbehave.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::ops::Deref;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mount::daemon;
use rustix::process::{Signal, kill_process};
use serde_json::Value;
use testkit::link::Link;
use testkit::process::run;
use testkit::scripted::{Auth, Fault, Login, Misdeed, Script, Target};
use testkit::tar::{Member, Tar};
use testkit::{data, oci, toc};

use crate::harness::Converted;
use crate::scene::Scene;

/// How often the daemon is killed; the recorded run has 100.
const KILLS: usize = 12;

/// A scene with an image in the registry.
struct Stage {
    scene: Scene,
    files: Vec<(String, Vec<u8>)>,
    image: Converted,
}

impl Deref for Stage {
    type Target = Scene;

    fn deref(&self) -> &Scene {
        &self.scene
    }
}

impl Stage {
    /// Says why there is none, where nothing can be mounted.
    fn new(script: Script) -> Option<Self> {
        let scene = Scene::new(script)?;
        let mut files: Vec<_> = (0..60)
            .map(|seed| (format!("small/{seed}"), data::stream(seed, 500 + 797 * seed as usize % 30_000)))
            .collect();
        files.push(("large".to_owned(), data::stream(1000, 5_000_000)));
        files.push(("second".to_owned(), data::stream(1001, 3_000_000)));
        files.push(("alone/last".to_owned(), data::stream(1002, 3000)));
        let member = |(name, content): &(String, Vec<u8>)| Member::file(name, content).mode(0o755);
        let tar = Tar::new().members(files.iter().map(member));
        let image = Converted::new(&scene.path("image"), vec![tar.finish()]);
        scene.publish("image", &image.target);
        Some(Self { scene, files, image })
    }

    fn name(&self) -> String {
        self.scene.name("image")
    }

    fn mount(&self) {
        self.run(&["mount", &self.name(), "m", "--no-fill", "-q"]);
    }

    /// Counts the contents that would have to go to make room.
    fn evictable(&self, quota: &str) -> u64 {
        self.json(&["gc", "--dry-run", "--json", "--quota", quota])["evicted"]["contents"].as_u64().unwrap()
    }

    /// Publishes an image that says of the content of `large` that it is made of other chunks.
    fn publish_liar(&self) -> String {
        let layout = &self.image.target;
        let layer = layout.layers("latest").remove(0);
        let (blob, layer) = toc::rewrite(&layout.blob(layer["digest"].as_str().unwrap()), &layer, |toc| {
            let mut rows = toc["entries"].as_array_mut().unwrap().iter_mut();
            let chunk = rows.find(|row| row["name"] == "large" && row["type"] == "chunk").unwrap();
            chunk["chunkDigest"] = oci::digest(b"other").into();
        });
        layout.add_blob("", &blob);
        layout.add_manifest("lies", &[layer], &[oci::digest(&self.image.tars[0])]);
        self.registry.add_layout("liar", layout);
        format!("docker://{}/liar:lies", self.registry.host())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.path("m").join(name))
    }

    fn content(&self, name: &str) -> &[u8] {
        &self.files.iter().find(|(own, _)| own == name).unwrap().1
    }

    fn assert_reads(&self, name: &str) {
        assert!(self.read(name).unwrap() == self.content(name), "{name}");
    }
}

#[test]
fn root_an_image_is_used_before_it_is_here_and_then_without_anybody() {
    let Some(scene) = Stage::new(Script::default()) else { return };
    scene.mount();
    let before = scene.registry.counters().sent;
    let names: Vec<_> = fs::read_dir(scene.path("m/small")).unwrap().collect();
    assert_eq!((names.len(), scene.registry.counters().sent), (60, before));
    scene.assert_reads("small/7");
    assert!(scene.registry.counters().sent - before < 1_000_000);
    let waited = scene.run(&["wait", "m"]);
    assert_eq!(waited, "");
    scene.run(&["detach", "m"]);
    assert!(!scene.output(&["daemon", "status"]).status.success());
    let fetched = scene.registry.counters().requests;
    scene.files.iter().for_each(|(name, _)| scene.assert_reads(name));
    assert_eq!(scene.registry.counters().requests, fetched);
    // As after a reboot.
    rustix::mount::unmount(scene.path("m"), rustix::mount::UnmountFlags::DETACH).unwrap();
    scene.run(&["restore", "-q"]);
    scene.files.iter().for_each(|(name, _)| scene.assert_reads(name));
    assert_eq!(scene.registry.counters().requests, fetched);
}

#[test]
fn root_an_image_does_not_say_what_another_ones_files_are_made_of() {
    let Some(scene) = Stage::new(Script::default()) else { return };
    let liar = scene.publish_liar();
    scene.run(&["mount", &liar, "n", "--no-fill", "-q"]);
    let report = scene.json(&["mount", &scene.name(), "m", "--no-fill", "--json"]);
    let why = report["no_daemon"].as_str().unwrap();
    let digest = oci::digest(scene.content("large"));
    assert_eq!(
        why,
        format!(
            "another image that is mounted says something else of the content {digest}, so all of it has to be here first"
        )
    );
    scene.files.iter().for_each(|(name, _)| scene.assert_reads(name));
    // Now that it is here, the other image has it as well.
    assert!(fs::read(scene.path("n/large")).unwrap() == scene.content("large"));
    scene.run(&["umount", "n"]);
    scene.run(&["umount", "m"]);
}

#[test]
fn root_an_image_that_lies_is_not_served_beside_the_one_it_lies_about() {
    let Some(scene) = Stage::new(Script::default()) else { return };
    let liar = scene.publish_liar();
    scene.mount();
    let refused = scene.output(&["mount", &liar, "n", "--no-fill", "-q"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(3) && said.contains("the digest of"), "{said}");
    scene.files.iter().for_each(|(name, _)| scene.assert_reads(name));
    // The next daemon serves what this one did.
    kill_process(scene.daemon(), Signal::KILL).unwrap();
    scene.run(&["wait", "m"]);
    scene.files.iter().for_each(|(name, _)| scene.assert_reads(name));
}

#[test]
fn root_names_and_attributes_cost_no_request() {
    let Some(scene) = Stage::new(Script::default()) else { return };
    scene.mount();
    scene.assert_reads("small/7");
    let requests = || {
        let counts = &scene.status()["counts"];
        ["lookups", "reads", "other_requests"].map(|name| counts[name].as_u64().unwrap())
    };
    let before = requests();
    for command in [["find", "m", "-ls"], ["ls", "-laR", "m"]] {
        let listed = Command::new(command[0]).args(&command[1..]).current_dir(scene.path("")).output();
        assert!(String::from_utf8(listed.unwrap().stdout).unwrap().lines().count() > 60);
    }
    assert_eq!(requests(), before);
    scene.assert_reads("second");
    assert_ne!(requests(), before);
}

#[test]
fn root_what_the_kernel_may_remember_is_no_garbage() {
    let Some(scene) = Stage::new(Script::default()) else { return };
    let other = Tar::new().file("other", data::stream(7, 50_000)).finish();
    let other = Converted::new(&scene.path("second"), vec![other]);
    scene.registry.add_layout("second", &other.target);
    let second = scene.name().replace("/image:", "/second:");
    scene.mount();
    scene.run(&["mount", &second, "n", "--no-fill", "-q"]);
    let held = File::open(scene.path("m/large")).unwrap();
    let mut piece = [0; 4096];
    held.read_exact_at(&mut piece, 0).unwrap();
    scene.run(&["umount", "m", "--lazy"]);
    scene.run(&["rm", &scene.name()]);
    // The daemon gives way, and the next one takes over what the kernel remembers.
    scene.run(&["gc"]);
    assert!(fs::read(scene.path("n/other")).unwrap() == data::stream(7, 50_000));
    held.read_exact_at(&mut piece, 1).unwrap();
    assert!(piece == scene.content("large")[1..4097]);
    drop(held);
    scene.run(&["umount", "n"]);
    let collected: Value = serde_json::from_str(&scene.run(&["gc", "--json"])).unwrap();
    assert_eq!(collected["layers"], 1, "{collected}");
}

#[test]
fn root_what_is_not_mounted_can_make_room_and_comes_back() {
    let Some(scene) = Stage::new(Script::default()) else { return };
    scene.mount();
    scene.run(&["wait", "m"]);
    let evict = |words: &[&str]| -> Value {
        let words = [&["gc", "--quota", "1M", "--json"], words].concat();
        serde_json::from_str::<Value>(&scene.run(&words)).unwrap()["evicted"].clone()
    };
    let kept = evict(&[]);
    assert_eq!((&kept["layers"], &kept["contents"]), (&0.into(), &0.into()), "{kept}");
    assert!(kept["beyond_len"].as_u64() > Some(7_000_000), "{kept}");
    scene.files.iter().for_each(|(name, _)| scene.assert_reads(name));
    scene.run(&["umount", "m"]);
    let planned = evict(&["--dry-run"]);
    assert_eq!(evict(&[]), planned);
    assert_eq!((&planned["layers"], &planned["beyond_len"]), (&1.into(), &0.into()), "{planned}");
    assert!(scene.run(&["images"]).contains("indexed"));
    scene.mount();
    scene.files.iter().for_each(|(name, _)| scene.assert_reads(name));
    scene.run(&["umount", "m"]);
    scene.run(&["pull", &scene.name(), "-q"]);
    assert!(scene.run(&["images"]).contains("proven"));
}

#[test]
fn root_a_daemon_makes_room_of_what_is_not_mounted() {
    let Some(scene) = Stage::new(Script::default()) else { return };
    let other = Tar::new().file("other", data::stream(7, 50_000)).finish();
    let other = Converted::new(&scene.path("second"), vec![other]);
    let second = scene.publish("second", &other.target);
    scene.start_daemon(&["--quota", "6M"]);
    scene.run(&["mount", &second, "n", "--no-fill", "-q"]);
    assert!(fs::read(scene.path("n/other")).unwrap() == data::stream(7, 50_000));
    scene.mount();
    scene.run(&["wait", "m"]);
    // That is too much, and all of it is mounted.
    assert_eq!(scene.evictable("6M"), 0);
    scene.run(&["umount", "m"]);
    wait_until(|| scene.log().contains("made room: "));
    assert_eq!(scene.evictable("6M"), 0);
    let images = scene.json(&["images", "--json"]);
    let image = images
        .as_array()
        .unwrap()
        .iter()
        .find(|image| image["name"].as_str().unwrap().ends_with("/image:latest"))
        .unwrap();
    assert_eq!(image["state"], "indexed");
    let requests = scene.registry.counters().requests;
    assert!(fs::read(scene.path("n/other")).unwrap() == data::stream(7, 50_000));
    assert_eq!(scene.registry.counters().requests, requests, "what is mounted stayed");
    scene.mount();
    scene.files.iter().for_each(|(name, _)| scene.assert_reads(name));
}

#[test]
fn root_nothing_goes_that_is_mounted_without_a_name() {
    let Some(scene) = Stage::new(Script::default()) else { return };
    scene.mount();
    scene.run(&["wait", "m"]);
    let held = File::open(scene.path("m/small/7")).unwrap();
    scene.run(&["umount", "m", "--lazy"]);
    assert_eq!(scene.evictable("1M"), 0);
    drop(held);
    wait_until(|| scene.evictable("1M") > 0);
    // An engine's overlay on top of a mount needs no name of that either.
    scene.mount();
    scene.run(&["wait", "m"]);
    ["upper", "work", "top"].iter().for_each(|name| fs::create_dir(scene.path(name)).unwrap());
    let options = "lowerdir=m,upperdir=upper,workdir=work";
    run(Command::new("mount")
        .args(["-t", "overlay", "top", "-o", options, "top"])
        .current_dir(scene.path("")));
    scene.run(&["umount", "m"]);
    assert_eq!(scene.evictable("1M"), 0);
    assert!(fs::read(scene.path("top/large")).unwrap() == scene.content("large"));
    rustix::mount::unmount(scene.path("top"), rustix::mount::UnmountFlags::empty()).unwrap();
    wait_until(|| scene.evictable("1M") > 0);
}

fn wait_until(mut is_done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_done() {
        assert!(start.elapsed() < Duration::from_secs(60));
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn root_new_credentials_are_found_without_a_new_mount() {
    let auth = Auth::Bearer { login: Some(Login::new("ann", "secret")), uses: Some(2) };
    let Some(scene) = Stage::new(Script { auth, ..Script::default() }) else { return };
    let log_in = |password: &str| {
        // `ann:` and the password, in base64.
        let pair = if password == "secret" { "YW5uOnNlY3JldA==" } else { "YW5uOm90aGVy" };
        let auths = format!(r#"{{"auths":{{"{}":{{"auth":"{pair}"}}}}}}"#, scene.registry.host());
        fs::write(scene.path("auth.json"), auths).unwrap();
    };
    log_in("secret");
    scene.run(&["mount", &scene.name(), "m", "--no-fill", "-q", "--authfile", "auth.json"]);
    // Tokens that expire are nobody's business.
    (0..60).step_by(20).for_each(|seed| scene.assert_reads(&format!("small/{seed}")));
    scene.assert_reads("second");
    log_in("other");
    kill_process(scene.daemon(), Signal::KILL).unwrap();
    assert!(scene.read("large").is_err());
    log_in("secret");
    let start = Instant::now();
    while scene.read("large").is_err() {
        assert!(start.elapsed() < Duration::from_secs(60));
    }
    scene.assert_reads("large");
}

#[test]
fn root_a_full_disk_is_an_error_and_nothing_worse() {
    let Some(scene) = Stage::new(Script::default()) else { return };
    let disk = scene.path("disk");
    File::create(&disk).unwrap().set_len(24 << 20).unwrap();
    run(Command::new("mkfs.ext4").args(["-qm0", "-O", "^has_journal"]).arg(&disk));
    run(Command::new("mount").args(["-o", "loop"]).args([&disk, &scene.path("store")]));
    fs::remove_dir(scene.path("store/lost+found")).unwrap();
    scene.mount();
    scene.assert_reads("small/7");
    let filler = scene.path("store/filler");
    let mut file = File::create(&filler).unwrap();
    while io::Write::write_all(&mut file, &[1; 4096]).is_ok() {}
    file.sync_all().unwrap();
    let error = scene.read("large").unwrap_err();
    assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::IO.raw_os_error()));
    scene.assert_reads("small/7");
    fs::remove_file(filler).unwrap();
    drop(file);
    scene.files.iter().for_each(|(name, _)| scene.assert_reads(name));
}

#[test]
fn root_readers_outlive_the_daemon() {
    let Some(scene) = Stage::new(Script { link: Some(Link::of_megabits(60, 5)), ..Script::default() }) else {
        return;
    };
    scene.mount();
    let kills = std::env::var("MORSEL_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let killer = scope.spawn(|| {
            for round in 0..kills {
                thread::sleep(Duration::from_millis(20 + (round as u64 * 37) % 150));
                kill_process(scene.daemon(), Signal::KILL).unwrap();
            }
            is_over.store(true, Ordering::Release);
        });
        let mut readers = Vec::new();
        for reader in 0..8 {
            let (scene, is_over) = (&scene, &is_over);
            readers.push(scope.spawn(move || {
                let mut round = 0;
                while round == 0 || !is_over.load(Ordering::Acquire) {
                    for (name, content) in &scene.files {
                        let file = File::open(scene.path("m").join(name)).unwrap();
                        // What the kernel remembers is of no interest.
                        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
                        let mut bytes = vec![0; content.len()];
                        file.read_exact_at(&mut bytes, 0)
                            .unwrap_or_else(|error| panic!("{reader} {name}: {error}"));
                        assert!(bytes == *content, "{reader} {name}");
                    }
                    round += 1;
                }
            }));
        }
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        killer.join().unwrap();
    });
    scene.run(&["wait", "m"]);
}

/// What the link brings before the content of a fault is what the fault waits for.
#[test]
fn root_a_fault_while_all_is_filled_in_waits_for_three_round_trips_at_most() {
    for (megabits, milliseconds) in [(40, 40), (20, 50)] {
        let round_trip_len = megabits * 125 * milliseconds;
        let link = Some(Link::of_megabits(megabits, milliseconds));
        let Some(scene) = Stage::new(Script { link, ..Script::default() }) else { return };
        scene.run(&["mount", &scene.name(), "m", "-q"]);
        let filled = || scene.status()["counts"]["fill_chunks"].as_u64().unwrap();
        wait_until(|| filled() > 0);
        let before = scene.registry.counters().sent;
        // Nothing lies near it that would come along.
        scene.assert_reads("alone/last");
        let sent = scene.registry.counters().sent - before;
        assert!(
            scene.status()["counts"]["fault_chunks"].as_u64() > Some(0),
            "all was here before it was read"
        );
        assert!(sent <= 3 * round_trip_len + 50_000, "{sent} bytes were sent");
    }
}

#[test]
fn root_without_another_daemon_what_is_missing_is_an_error() {
    let Some(scene) = Stage::new(Script::default()) else { return };
    scene.mount();
    scene.assert_reads("small/7");
    let (keeper, daemon) = (scene.keeper(), scene.daemon());
    kill_process(keeper, Signal::KILL).unwrap();
    kill_process(daemon, Signal::KILL).unwrap();
    while fs::exists(format!("/proc/{}/fd", daemon.as_raw_nonzero())).unwrap()
        && fs::read_dir(format!("/proc/{}/fd", daemon.as_raw_nonzero())).is_ok_and(|fds| fds.count() > 0)
    {
        thread::sleep(Duration::from_millis(10));
    }
    assert!(scene.read("large").is_err());
    scene.assert_reads("small/7");
}

#[test]
fn root_a_registry_that_is_down_is_an_error_until_it_is_back() {
    let down = Fault::new(Target::BlobRanges, Misdeed::Status { status: 404, retry_after: None });
    // The first request is for the TOC and the tar-split.
    let script = Script { faults: vec![down.after(1).times(40)], ..Script::default() };
    let Some(scene) = Stage::new(script) else { return };
    scene.mount();
    let start = Instant::now();
    let mut failed = 0;
    while scene.read("small/3").is_err() {
        failed += 1;
        assert!(start.elapsed() < Duration::from_secs(60));
    }
    assert!(failed > 0);
    scene.assert_reads("small/3");
    scene.assert_reads("large");
    assert!(scene.status()["counts"]["failed_reads"].as_u64().unwrap() > 0);
}

#[test]
fn root_who_waits_for_a_registry_that_is_down_is_told_why() {
    let down = Fault::new(Target::BlobRanges, Misdeed::Status { status: 404, retry_after: None });
    let script = Script { faults: vec![down.after(1).times(3)], ..Script::default() };
    let Some(scene) = Stage::new(script) else { return };
    scene.mount();
    let waited = scene.output(&["wait", "m"]);
    let said = String::from_utf8(waited.stderr).unwrap();
    assert!(waited.status.success(), "{said}");
    let (name, host) = (scene.name(), scene.registry.host());
    let name = name.trim_start_matches("docker://");
    assert_eq!(
        said,
        format!(
            "still waiting for `{name}`: cannot read the blob: `{host}` does not have the blob; it is tried again\n"
        )
    );
    assert!(scene.log().contains("cannot go on with layer sha256:"), "{}", scene.log());
    let layers = scene.status()["images"][0]["layers"].clone();
    assert_eq!(layers[0].get("failure"), None, "{layers}");
}

#[test]
fn root_wrong_bytes_are_never_read() {
    let Some(scene) = Stage::new(Script {
        faults: vec![Fault::new(Target::BlobRanges, Misdeed::Flip { offset: 2_000_000 }).after(2).times(3)],
        ..Script::default()
    }) else {
        return;
    };
    scene.mount();
    for _ in 0..20 {
        match scene.read("large") {
            Ok(bytes) => assert!(bytes == scene.content("large")),
            Err(error) => assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::IO.raw_os_error())),
        }
    }
    scene.assert_reads("large");
}

#[test]
fn root_metrics_and_health_are_at_the_socket() {
    use std::io::{Read, Write};
    let Some(scene) = Stage::new(Script::default()) else { return };
    scene.mount();
    scene.assert_reads("small/1");
    let ask = |path: &str| {
        let directory = File::open(scene.path("store/run")).unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&directory);
        let socket = format!("/proc/self/fd/{number}/daemon.sock");
        let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let metrics = ask("/metrics");
    assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n"), "{metrics}");
    for line in ["morsel_failed_reads_total 0\n", "morsel_images 1\n", "morsel_image_complete{image="] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    assert!(ask("/healthz").ends_with("\r\n\r\nok\n"));
    assert!(ask("/else").starts_with("HTTP/1.1 404"));
}

#[test]
fn root_a_crowd_at_the_socket_is_hung_up_on_and_keeps_no_reader_waiting() {
    use std::io::{Read, Write};
    let Some(scene) = Stage::new(Script::default()) else { return };
    scene.mount();
    let directory = File::open(scene.path("store/run")).unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&directory);
    let socket = format!("/proc/self/fd/{number}/daemon.sock");
    let connect = || {
        let stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    };
    let mut crowd: Vec<_> = (0..256).map(|_| connect()).collect();
    let mut more = connect();
    assert_eq!(more.read(&mut [0]).unwrap(), 0);
    scene.assert_reads("small/1");
    crowd.pop();
    wait_until(|| {
        let (mut stream, mut answer) = (connect(), String::new());
        let asked = write!(stream, "GET /healthz HTTP/1.1\r\n\r\n");
        asked.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.ends_with("ok\n")
    });
}

#[test]
fn root_what_a_command_read_comes_first_the_next_time() {
    let Some(scene) = Stage::new(Script::default()) else { return };
    // It is no program, so the command fails; what was read to find that out is written down all the same.
    let output = scene.output(&["record", &scene.name(), "-q", "--", "/small/1"]);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(scene.path("store/profiles").exists(), "{said}");
    let profile = fs::read_dir(scene.path("store/profiles")).unwrap().next().unwrap().unwrap().path();
    let profile: Value = serde_json::from_slice(&fs::read(profile).unwrap()).unwrap();
    assert_eq!(profile["reads"].as_array().unwrap().len(), 1, "{profile}");
    assert_eq!(scene.image.tars.len(), 1);
    // What is not there reads nothing, and does not replace what was found out.
    let kept = contents(&scene.path("store/profiles"));
    let output = scene.output(&["record", &scene.name(), "-q", "--", "/absent"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("`/absent` read nothing in"), "{said}");
    assert_eq!(contents(&scene.path("store/profiles")), kept);
}

/// Reads all files of a directory.
fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn root_one_image_in_quarantine_does_not_keep_the_others_from_being_restored() {
    let Some(scene) = Stage::new(Script::default()) else { return };
    let other = Tar::new().file("other", data::stream(7, 50_000)).finish();
    let other = Converted::new(&scene.path("second"), vec![other]);
    scene.registry.add_layout("second", &other.target);
    let second = scene.name().replace("/image:", "/second:");
    // It comes first in the list.
    scene.run(&["mount", &second, "a", "--no-fill", "-q"]);
    let layers = fs::read_dir(scene.path("store/layers")).unwrap().map(|entry| entry.unwrap().file_name());
    let layer = layers.into_iter().find(|name| !name.to_string_lossy().starts_with("by-")).unwrap();
    scene.mount();
    fs::create_dir_all(scene.path("store/quarantine")).unwrap();
    fs::write(scene.path("store/quarantine").join(layer), "").unwrap();
    // As after a reboot.
    for name in ["a", "m"] {
        rustix::mount::unmount(scene.path(name), rustix::mount::UnmountFlags::DETACH).unwrap();
    }
    scene.run(&["daemon", "stop"]);
    let output = scene.output(&["restore", "-q"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("quarantine"), "{said}");
    assert!(!scene.path("a/other").exists());
    scene.assert_reads("small/7");
}

#[test]
fn root_a_daemon_that_somebody_is_about_to_use_may_be_ended_as_idle() {
    let link = Some(Link::of_megabits(100, 200));
    let Some(scene) = Stage::new(Script { link, ..Script::default() }) else { return };
    thread::scope(|scope| {
        let mounting = scope.spawn(|| scene.mount());
        // Its daemon runs, and its TOC has still to come.
        wait_until(|| scene.output(&["daemon", "status"]).status.success());
        let stopped = daemon::Client::connect(&scene.path("store")).unwrap().unwrap().stop_if_idle();
        stopped.unwrap();
        assert!(!mounting.is_finished());
        mounting.join().unwrap();
    });
    scene.assert_reads("small/7");
    daemon::Client::connect(&scene.path("store")).unwrap().unwrap().stop_if_idle().unwrap();
    scene.assert_reads("small/8");
}

#[test]
fn root_what_a_command_read_comes_first_elsewhere_too() {
    for referrers in [true, false] {
        let Some(scene) = Stage::new(Script { referrers, ..Script::default() }) else { return };
        let output = scene.output(&["record", &scene.name(), "-q", "--push", "--", "/second"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("error: "), "{said}");
        fs::remove_dir_all(scene.path("store")).unwrap();
        scene.mount();
        let start = Instant::now();
        while scene.status()["counts"]["prefetch_chunks"].as_u64() == Some(0) {
            assert!(start.elapsed() < Duration::from_secs(60));
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(scene.status()["counts"]["fault_chunks"], 0);
    }
}

#[test]
fn root_garbage_is_collected_while_a_daemon_serves() {
    let Some(scene) = Stage::new(Script::default()) else { return };
    scene.mount();
    scene.assert_reads("small/7");
    let first = scene.daemon();
    // The image is mounted, so nothing of it is garbage although it is not in the list any more.
    scene.run(&["rm", &scene.name()]);
    scene.run(&["gc"]);
    scene.assert_reads("small/7");
    scene.assert_reads("small/8");
    assert_ne!(scene.daemon(), first, "the daemon gave way");
}
