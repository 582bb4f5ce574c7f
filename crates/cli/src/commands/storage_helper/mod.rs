//! What engines call before they pull.
//!
//! ```text
//! podman ── JSON on stdin ──> waiter ── the same ──> worker: manifest, layers, publish
//!    │                          │ at most as long as the policy says
//!    │ <────── exit 0 ──────────┘                      └ goes on by itself if that was not enough
//!    └ looks for its layers, and fetches what it does not find
//! ```
//!
//! The worker is a process of its own: whatever happens to it, the engine gets its answer. Engines give no thought to what
//! is written and to how the helper ends; what happened is in a log.

mod caller;
mod log;
mod question;
mod worker;

use std::env;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use containers_storage::AdditionalStore;

pub(super) use self::log::LOG;

use self::caller::Caller;
use self::log::Log;
use self::question::Question;
use super::publish::place;
use crate::args::StorageHelper;
use crate::config::{Config, Mode};

/// Prepares the image that an engine asks for. That it fails is no failure of the engine.
pub(super) fn run(args: &StorageHelper) -> ExitCode {
    let log = Log::open(&args.store);
    if !args.worker
        && let Err(error) = heal(args, &log)
    {
        log.failure(&error);
    }
    let done = match args.worker {
        true => worker::run(args, &log),
        false => wait(args, &log),
    };
    if let Err(error) = done {
        log.failure(&error);
    }
    ExitCode::SUCCESS
}

/// Repairs what engines find, before they look: a list that they cannot read makes them fail, and so does a layer without
/// files.
fn heal(args: &StorageHelper, log: &Log) -> anyhow::Result<()> {
    let additional = AdditionalStore::open(&place(&args.store.path()?))?;
    for finding in additional.repair()?.0 {
        log.say(&format!("repaired what is published: {finding}"));
    }
    Ok(())
}

/// Lets a worker do what is asked, and waits for it as long as the engine shall wait.
fn wait(args: &StorageHelper, log: &Log) -> anyhow::Result<()> {
    let caller = Caller::find();
    if caller.only_looks() {
        return Ok(());
    }
    let (question, json) = Question::read(&mut io::stdin().lock())?;
    let policy =
        Config::load(args.config.as_deref())?.policy(question.name.host(), question.name.repository());
    if policy.mode == Mode::Off {
        return Ok(());
    }
    let caller = caller.until_image(question.name.repository());
    let child = start(args, &caller, &json).context("cannot start the worker")?;
    if !ends_within(child, policy.wait) {
        log.say(&format!(
            "{}: the engine does not wait any longer; it goes on in the background",
            question.name
        ));
    }
    Ok(())
}

fn start(args: &StorageHelper, caller: &Caller, json: &[u8]) -> anyhow::Result<Child> {
    let mut command = Command::new(env::current_exe().context("cannot find this program")?);
    command.args(["storage-helper", "--worker"]);
    if let Some(root) = &args.store.root {
        command.arg("--root").arg(root);
    }
    if let Some(config) = &args.config {
        command.arg("--config").arg(config);
    }
    caller.pass_on(&mut command);
    // A group of its own: Ctrl-C is for the engine. What the engine waits for must not stay open.
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(json)?;
    }
    Ok(child)
}

/// Tells whether a process ends in time.
fn ends_within(mut child: Child, limit: Duration) -> bool {
    let (done, wait) = mpsc::channel();
    thread::spawn(move || {
        // Nobody asks how it ended, and nobody may be left to be told.
        let _ = child.wait();
        let _ = done.send(());
    });
    wait.recv_timeout(limit).is_ok()
}
