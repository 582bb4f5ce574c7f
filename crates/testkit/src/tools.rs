//! Finding the tools that judge morsel, on this machine or in a peer root, and saying so when they are not there.
//!
//! ```no_run
//! use morsel_testkit::tools::{self, Tier};
//! use morsel_testkit::process::run;
//!
//! let Some(mut zstd) = tools::host(Tier::Tool, "zstd") else { return };
//! run(zstd.args(["-t", "blob"]));
//! ```

mod peer_root;

use std::env;
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

pub use peer_root::PeerRoot;

/// What a test needs of the machine; the test's name starts with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// A peer's program, as any user: `tool_`.
    Tool,
    /// Root, and mounts of the kernel: `root_`.
    Root,
    /// A container engine from end to end: `engine_`.
    Engine,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tool => "tool",
            Self::Root => "root",
            Self::Engine => "engine",
        })
    }
}

/// Says that a test is skipped. The caller then returns.
///
/// The line is also added to the file that `MORSEL_SKIP_LOG` names, so that skips can be counted.
///
/// # Panics
///
/// When `MORSEL_REQUIRE_TIERS`, a list with commas, has the tier.
#[expect(clippy::print_stderr, reason = "the person who runs the tests shall see it")]
pub fn skip(tier: Tier, why: impl fmt::Display) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let required = env::var("MORSEL_REQUIRE_TIERS").unwrap_or_default();
    let line = format!("skipped (tier {tier}): {why}");
    assert!(
        !required.split(',').any(|name| name == tier.to_string()),
        "{line}, but MORSEL_REQUIRE_TIERS has it"
    );
    eprintln!("{line}");
    if let Some(path) = env::var_os("MORSEL_SKIP_LOG") {
        let mut log =
            File::options().append(true).create(true).open(path).expect("MORSEL_SKIP_LOG can be opened");
        log.write_all(format!("{test}: {line}\n").as_bytes()).expect("MORSEL_SKIP_LOG can be written");
    }
}

/// Finds a program of this machine; without it the test is skipped.
pub fn host(tier: Tier, program: &str) -> Option<Command> {
    let Some(path) = find_in(Path::new("/"), program) else {
        skip(tier, format_args!("`{program}` is not on this machine"));
        return None;
    };
    Some(Command::new(path))
}

/// Tells whether this process is root; when it is not, the test is skipped.
pub fn is_root(tier: Tier) -> bool {
    let root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if !root {
        skip(tier, "this needs root");
    }
    root
}

/// Looks where Debian installs programs, below a root directory.
fn find_in(root: &Path, program: &str) -> Option<PathBuf> {
    const FOLDERS: [&str; 5] = ["usr/local/bin", "usr/bin", "usr/sbin", "bin", "sbin"];
    FOLDERS.iter().map(|folder| root.join(folder).join(program)).find(|path| path.symlink_metadata().is_ok())
}
