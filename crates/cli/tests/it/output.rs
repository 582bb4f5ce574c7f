//! Where output goes: staged, replaced, piped, interrupted.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::sandbox::{Sandbox, small_tar};

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("layer.tar", small_tar());
    sandbox
}

#[test]
fn what_is_there_is_replaced() {
    let sandbox = sandbox();
    sandbox.stdout("morsel convert layer.tar new.zst");
    sandbox.write("old.zst", "old");
    sandbox.stdout("morsel convert layer.tar old.zst");
    assert_eq!(sandbox.read("old.zst"), sandbox.read("new.zst"));
    assert_eq!(sandbox.names(), ["layer.tar", "new.zst", "old.zst"]);
}

#[test]
fn a_failure_leaves_what_was_there() {
    let sandbox = sandbox();
    sandbox.write("damaged.gz", [&[0x1f, 0x8b][..], &[0; 100]].concat());
    sandbox.write("layer.zst", "old");
    assert_eq!(sandbox.output("morsel convert damaged.gz layer.zst").status.code(), Some(3));
    assert_eq!(sandbox.read("layer.zst"), b"old");
    assert_eq!(sandbox.names(), ["damaged.gz", "layer.tar", "layer.zst"]);
}

#[test]
fn others_may_read_as_the_umask_says() {
    let sandbox = sandbox();
    let morsel = env!("CARGO_BIN_EXE_morsel");
    let script = format!("umask 027 && {morsel} convert layer.tar layer.zst");
    let done = Command::new("sh").args(["-c", &script]).current_dir(sandbox.path("")).output().unwrap();
    assert!(done.status.success());
    assert_eq!(fs::metadata(sandbox.path("layer.zst")).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn a_link_keeps_pointing_where_it_points() {
    let sandbox = sandbox();
    fs::create_dir(sandbox.path("folder")).unwrap();
    sandbox.write("folder/layer.zst", "old");
    symlink("folder/layer.zst", sandbox.path("link.zst")).unwrap();
    sandbox.stdout("morsel convert layer.tar link.zst");
    assert!(fs::symlink_metadata(sandbox.path("link.zst")).unwrap().is_symlink());
    assert!(sandbox.read("folder/layer.zst").starts_with(&[0x28, 0xb5, 0x2f, 0xfd]));
}

#[test]
fn a_named_pipe_is_written_to_and_stays() {
    let sandbox = sandbox();
    assert!(Command::new("mkfifo").arg(sandbox.path("pipe.zst")).status().unwrap().success());
    let reader = {
        let path = sandbox.path("pipe.zst");
        std::thread::spawn(move || fs::read(path).unwrap())
    };
    sandbox.stdout("morsel convert layer.tar ./pipe.zst");
    sandbox.stdout("morsel convert layer.tar layer.zst");
    assert_eq!(reader.join().unwrap(), sandbox.read("layer.zst"));
    assert_eq!(sandbox.names(), ["layer.tar", "layer.zst", "pipe.zst"]);
}

#[test]
fn a_reader_that_goes_away_ends_the_command_quietly() {
    let sandbox = sandbox();
    for line in ["morsel convert layer.tar - --quiet", "morsel convert layer.tar layer.zst --quiet"] {
        let mut child = sandbox.start(line);
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.signal(), Some(Signal::PIPE.as_raw()), "{line}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{line}");
    }
}

#[test]
fn a_terminal_gets_no_blob_and_gives_no_layer() {
    let sandbox = sandbox();
    let said = |line: &str| {
        let command = format!("{} {line}", env!("CARGO_BIN_EXE_morsel"));
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &command, "/dev/null"]);
        let output = script.current_dir(sandbox.path("")).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).replace('\r', ""))
    };
    let (code, text) = said("convert layer.tar -");
    assert_eq!(code, Some(2));
    insta::assert_snapshot!(text, @"error: standard output is a terminal, expected a pipe or a file for the blob");
    let (code, text) = said("convert - layer.zst");
    assert_eq!(code, Some(2));
    insta::assert_snapshot!(text, @"error: standard input is a terminal, expected a layer from a pipe or a file");
    assert_eq!(sandbox.names(), ["layer.tar"]);
}

/// Starts a conversion that waits for the rest of its input, and waits until it has started to write.
fn half_done(sandbox: &Sandbox, line: &str) -> Child {
    let mut child = sandbox.start(line);
    child.stdin.as_mut().unwrap().write_all(&small_tar()[..2000]).unwrap();
    let outputs = line.matches(".zst").count() + line.matches(".json").count();
    while open_files(sandbox, &child) < outputs {
        assert!(child.try_wait().unwrap().is_none(), "it goes on until its input ends");
        sleep(Duration::from_millis(5));
    }
    child
}

/// Counts the files of the sandbox that a process has open, nameless ones too.
fn open_files(sandbox: &Sandbox, child: &Child) -> usize {
    let root = sandbox.path("").canonicalize().unwrap();
    let open = fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap();
    let paths = open.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
    paths.filter(|path| path.starts_with(&root) && path != &root).count()
}

#[test]
fn a_signal_leaves_nothing_behind_and_is_died_of() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let sandbox = sandbox();
        sandbox.write("layer.zst", "old");
        let mut child = half_done(&sandbox, "morsel convert - layer.zst --descriptor layer.json");
        kill_process(Pid::from_child(&child), signal).unwrap();
        let stdin = child.stdin.take();
        let status = child.wait().unwrap();
        drop(stdin);
        assert_eq!(status.signal(), Some(signal.as_raw()));
        assert_eq!(sandbox.names(), ["layer.tar", "layer.zst"]);
        assert_eq!(sandbox.read("layer.zst"), b"old");
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(said, "");
    }
}

#[test]
fn a_killed_conversion_leaves_what_was_there() {
    let sandbox = sandbox();
    sandbox.write("layer.zst", "old");
    let mut child = half_done(&sandbox, "morsel convert - layer.zst");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(sandbox.names(), ["layer.tar", "layer.zst"], "where the file system has nameless files");
    assert_eq!(sandbox.read("layer.zst"), b"old");
}
