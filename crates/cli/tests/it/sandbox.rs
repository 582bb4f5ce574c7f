//! A directory to run the command in, and transcripts of what it said there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;
use testkit::tar::{Member, Tar};

/// A temporary directory that commands run in.
pub(crate) struct Sandbox(TempDir);

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Returns the names in the directory, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Prepares a command; words are separated by spaces.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut words = line.split_whitespace();
        assert_eq!(words.next(), Some("morsel"), "{line}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_morsel"));
        command.args(words).current_dir(self.0.path()).stdin(Stdio::null());
        // What is learned of registries must not outlive the test.
        command.env("XDG_CACHE_HOME", "/dev/null/cache");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn output(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// Runs a command that must succeed, and returns its standard output.
    pub(crate) fn stdout(&self, line: &str) -> Vec<u8> {
        let output = self.output(line);
        assert!(output.status.success(), "{}", transcript(line, &output));
        output.stdout
    }

    /// Runs a command, and returns what it said.
    pub(crate) fn run(&self, line: &str) -> String {
        transcript(line, &self.output(line))
    }

    /// Runs a command that reads a file of the sandbox from standard input, and returns what it said.
    pub(crate) fn run_with(&self, line: &str, input: &str) -> String {
        let input = fs::File::open(self.path(input)).unwrap();
        transcript(line, &self.command(line).stdin(input).output().unwrap())
    }

    /// Starts a command whose standard input stays open.
    pub(crate) fn start(&self, line: &str) -> Child {
        self.command(line).stdin(Stdio::piped()).spawn().unwrap()
    }
}

/// Writes what a command said: standard output, standard error, exit code. What differs from run to run is masked.
fn transcript(line: &str, output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().map(mask).collect::<String>();
    let mut all = format!("$ {line}\n{}", text(&output.stdout));
    if !output.stderr.is_empty() {
        all += &format!("--- stderr\n{}", text(&output.stderr));
    }
    match output.status.code() {
        Some(0) => {}
        Some(code) => all += &format!("--- exit {code}\n"),
        None => all += &format!("--- {}\n", output.status),
    }
    all
}

/// Masks times and digests, which take too much room.
fn mask(line: &str) -> String {
    let start = line.trim_start();
    let indent = &line[..line.len() - start.len()];
    if let Some((row, time)) = line.rsplit_once("  ")
        && let Some(seconds) = time.trim_start().strip_suffix(" s")
        && seconds.parse::<f64>().is_ok()
    {
        return format!("{row}  [time]\n");
    }
    let masked = match start.split_once(char::is_whitespace) {
        Some(("time", _)) => "time        [time]".to_owned(),
        Some(("effort", effort)) => {
            let effort = effort.rsplit_once(", ").map_or(effort, |(effort, _)| effort);
            format!("effort{effort}, [memory]")
        }
        Some(("\"seconds\":", _)) => "\"seconds\": [time],".to_owned(),
        Some(("\"peak_memory\":", _)) => "\"peak_memory\": [memory]".to_owned(),
        _ => mask_digests(start),
    };
    format!("{indent}{masked}\n")
}

fn mask_digests(line: &str) -> String {
    let mut parts = line.split("sha256:");
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(part.len());
        let (digest, rest) = part.split_at(digits);
        masked += &format!("sha256:{}..{rest}", &digest[..digest.len().min(6)]);
    }
    masked
}

/// A place where something may be mounted, which goes away with this.
pub(crate) struct Unmount(pub(crate) PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let is_mounted = fs::read_to_string("/proc/self/mounts")
            .is_ok_and(|mounts| mounts.contains(&format!(" {} ", self.0.display())));
        if is_mounted {
            // What is left is seen by whoever looks for it.
            let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
        }
    }
}

/// Returns a small layer: a directory, two files and a link.
pub(crate) fn small_tar() -> Vec<u8> {
    Tar::new()
        .dir("etc/")
        .member(Member::file("etc/hostname", "box\n").modified(1_700_000_000, 0))
        .member(Member::file("etc/note", testkit::data::text(1, 5000)).owner(1000, 100).mode(0o640))
        .symlink("etc/link", "note")
        .finish()
}

/// Returns a path in the repository's golden data.
pub(crate) fn testdata(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(name);
    path.canonicalize().unwrap().display().to_string()
}
