//! Puts on disk what pulls have written.

use std::env;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use store::Store;

use crate::args::Sync;

/// Waits until everything in the store is on disk.
pub(crate) fn run(args: &Sync) -> anyhow::Result<ExitCode> {
    Store::settle(&args.store.path()?)?;
    Ok(ExitCode::SUCCESS)
}

/// Lets another process do it. Where none can be started, the next one that writes does it.
pub(in crate::commands) fn later(root: &Path) {
    let Ok(program) = env::current_exe() else { return };
    let mut command = Command::new(program);
    command.args(["sync", "--root"]).arg(root).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // Nobody waits for it: it outlives this process.
    let _ = command.spawn();
}
