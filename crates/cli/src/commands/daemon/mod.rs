//! The process that serves what is missing.

mod events;
pub(super) mod place;
mod sources;
mod start;
mod units;

use std::env;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use mount::daemon::keep::{Inherited, Keep, watchdog_interval};
use mount::daemon::{Client, Ended, Options, keeper, serve};
use mount::fuse;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

pub(super) use events::Log;
pub(super) use sources::Sources;
pub(super) use start::client;
pub(super) use units::{ENABLED, units};

use super::store::room::{make_room, room};
use crate::args::{Daemon, DaemonAction};
use crate::exit::code;
use crate::output::{print, print_text};
use crate::ui;
use crate::ui::json::to_json;

/// Runs a daemon, or speaks with the one that runs.
pub(crate) fn run(args: &Daemon) -> anyhow::Result<ExitCode> {
    match args.action {
        DaemonAction::Run if args.worker => return work(args, Manager::Keeper),
        DaemonAction::Run if env::var_os("NOTIFY_SOCKET").is_some() => {
            return work(args, Manager::Systemd);
        }
        DaemonAction::Run => keep(args)?,
        DaemonAction::Status => print(&to_json(&running(args)?.status()?)?)?,
        DaemonAction::Stop => running(args)?.stop()?,
        DaemonAction::Units => print_text(&units::render(&args.store.path()?)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Who starts the next daemon.
#[derive(Debug, Clone, Copy)]
enum Manager {
    Keeper,
    Systemd,
}

/// Has the daemon of a store, if there is one, let go of it for a moment.
pub(super) fn give_way(store: &Path) -> anyhow::Result<()> {
    match Client::connect(store)? {
        Some(client) => Ok(client.give_way()?),
        None => Ok(()),
    }
}

fn running(args: &Daemon) -> anyhow::Result<Client> {
    let root = args.store.path()?;
    let client = Client::connect(&root)?;
    client.with_context(|| format!("no daemon serves the store at `{}`", root.display()))
}

/// Serves until a verb or a signal ends it.
fn work(args: &Daemon, manager: Manager) -> anyhow::Result<ExitCode> {
    let (inherited, keep) = match manager {
        Manager::Keeper => {
            let keeper = io::stdin().as_fd().try_clone_to_owned().context("cannot speak with the keeper")?;
            let inherited = Inherited::of_keeper(keeper.as_fd()).context("cannot speak with the keeper")?;
            (inherited, Keep::Keeper(keeper))
        }
        Manager::Systemd => {
            let count = number("LISTEN_FDS").and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
            let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
            let keep = Keep::systemd(&env::var("NOTIFY_SOCKET").unwrap_or_default());
            (Inherited::of_systemd(count, &names), keep.context("cannot speak with systemd")?)
        }
    };
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("cannot handle signals")?;
    }
    let metrics = args.metrics.map(TcpListener::bind).transpose();
    let options = Options {
        fuse: fuse::Options { patience: Duration::from_secs(args.patience.get().into()) },
        metrics: metrics.context("cannot listen for who asks for metrics")?,
        watchdog: number("WATCHDOG_USEC").map(watchdog_interval),
        room: room(args.quota)?,
        ..Options::default()
    };
    let store = args.store.create()?;
    if matches!(manager, Manager::Systemd) && inherited.objects.is_empty() {
        let path = store.path().to_owned();
        // Once it answers, which it does on this thread.
        thread::spawn(move || start::adopt(&path).unwrap_or_else(|error| ui::say(&format!("{error:#}\n"))));
    }
    let sources = Sources::default();
    let ended = serve(&store, (&sources, &Log(store.path().to_owned())), inherited, &keep, &options, &stop)?;
    drop(store);
    if let (Ended::NoRoom, Some(room)) = (ended, &options.room) {
        events::made_room(&make_room(&args.store.path()?, room));
    }
    Ok(match ended {
        Ended::Asked => ExitCode::SUCCESS,
        // Whoever started this one starts the next.
        Ended::GaveWay | Ended::NoRoom => ExitCode::from(code::TRANSIENT),
    })
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

/// Keeps what a daemon needs, and starts one after another.
fn keep(args: &Daemon) -> anyhow::Result<()> {
    if args.detached {
        // It only fails for who leads a group of processes, and has left the terminal.
        let _ = rustix::process::setsid();
        let _ = env::set_current_dir("/");
    }
    let (root, program) = (args.store.path()?, env::current_exe().context("cannot find this program")?);
    let pid = Arc::new(AtomicU32::new(0));
    forward_signals(Arc::clone(&pid))?;
    let start = |socket: OwnedFd| {
        let mut command = Command::new(&program);
        command.args(["daemon", "--worker", "--patience", &args.patience.to_string()]);
        command.arg("--root").arg(&root);
        if let Some(metrics) = &args.metrics {
            command.args(["--metrics", &metrics.to_string()]);
        }
        if let Some(quota) = args.quota {
            command.args(["--quota", &quota.to_string()]);
        }
        command.stdin(Stdio::from(socket)).spawn()
    };
    keeper::run(&root, &start, &pid)?;
    Ok(())
}

/// Gives signals that ask to stop to the daemon, which then ends well.
fn forward_signals(pid: Arc<AtomicU32>) -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot handle signals")?;
    thread::spawn(move || {
        for _ in signals.forever() {
            let daemon = i32::try_from(pid.load(Ordering::Acquire)).ok().and_then(Pid::from_raw);
            if let Some(daemon) = daemon {
                // It may just have ended.
                let _ = kill_process(daemon, Signal::TERM);
            }
        }
    });
    Ok(())
}
