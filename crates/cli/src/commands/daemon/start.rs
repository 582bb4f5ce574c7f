//! Starting a daemon for a command that needs one.

use std::env;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use mount::daemon::{Client, RunDirectory};
use mount::overlay::DataDirectory;

use crate::commands::publish::take_over;

/// How long a daemon may take until it answers.
const PATIENCE: Duration = Duration::from_secs(20);
const INTERVAL: Duration = Duration::from_millis(10);

/// Connects to the daemon of a store, after starting one where there is none.
pub(in crate::commands) fn client(store: &Path) -> anyhow::Result<Client> {
    if let Some(client) = Client::connect(store)? {
        return Ok(client);
    }
    let client = start(store)?;
    adopt(store)?;
    Ok(client)
}

/// Has the daemon of a store, which has just been started, serve what engines find, instead of an earlier one.
pub(super) fn adopt(store: &Path) -> anyhow::Result<()> {
    let Some(mut client) = Client::connect(store)? else { return Ok(()) };
    let path = client.status()?.objects;
    let objects = File::open(&path).with_context(|| format!("cannot open `{}`", path.display()))?;
    take_over(store, DataDirectory { fd: objects.as_fd(), path: &path })
}

fn start(store: &Path) -> anyhow::Result<Client> {
    let root = fs::canonicalize(store).with_context(|| format!("cannot find `{}`", store.display()))?;
    let log = RunDirectory::open(&root)?.path().join("log");
    let file = File::options().create(true).append(true).open(&log);
    let file = file.with_context(|| format!("cannot write `{}`", log.display()))?;
    let program = env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(program);
    command.args(["daemon", "--detached", "--root"]).arg(&root);
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let mut daemon = command.spawn().context("cannot start a daemon")?;
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(client) = Client::connect(&root)? {
            return Ok(client);
        }
        if let Some(status) = daemon.try_wait()?
            && Client::connect(&root)?.is_none()
        {
            bail!("the daemon does not start: {status}; `{}` may tell why", log.display());
        }
        sleep(INTERVAL);
    }
    bail!("the daemon does not answer; `{}` may tell why", log.display())
}
