//! A directory with another Debian in it, whose tools run as if it were the whole machine.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Tier, find_in, is_root, skip};

/// A root made by `scripts/peers`.
///
/// Each command runs in namespaces of its own, on a throw-away copy of the root: what it writes is gone afterwards,
/// except below the directories it is given. It shares the network with the test.
#[derive(Debug, Clone)]
pub struct PeerRoot {
    dir: PathBuf,
}

impl PeerRoot {
    /// Finds the root of a suite that has `program`; without it the test is skipped.
    ///
    /// Roots lie in the directory named by `MORSEL_PEERS`, otherwise in `target/peers` of the workspace.
    pub fn find(tier: Tier, suite: &str, program: &str) -> Option<Self> {
        if !is_root(tier) {
            return None;
        }
        let dir = peers().join(suite);
        if find_in(&dir, program).is_none() {
            skip(tier, format_args!("no `{program}` in `{}`: run `scripts/peers {suite}`", dir.display()));
            return None;
        }
        Some(Self { dir })
    }

    /// Starts a command line inside the root. The directories given appear there under the same paths as outside.
    pub fn command(&self, program: &str, directories: &[&Path]) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"])
            .args(["sh", "-c", include_str!("enter-root.sh"), "enter-root"])
            .arg(&self.dir)
            .args(directories)
            .args(["--", program])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/root")
            .env("LC_ALL", "C.UTF-8");
        command
    }
}

fn peers() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    env::var_os("MORSEL_PEERS").map_or_else(|| workspace.join("target/peers"), PathBuf::from)
}
