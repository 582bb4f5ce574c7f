//! Serves a directory of layouts, or looks after one.

mod collect;
mod scrub;

use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use anyhow::Context;
use server::{Access, Log, Options, Server, Serves, Tls};

use crate::args::Serve;
use crate::interrupt::Interrupt;
use crate::output::print;
use crate::ui;

pub(crate) fn run(args: &Serve) -> anyhow::Result<ExitCode> {
    let directory = args.directory.display();
    match () {
        () if args.gc => {
            collect::run(args).with_context(|| format!("cannot remove garbage from `{directory}`"))
        }
        () if args.scrub => scrub::run(args).with_context(|| format!("cannot check `{directory}`")),
        () => serve(args).with_context(|| format!("cannot serve `{directory}`")),
    }
}

fn serve(args: &Serve) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::install()?;
    let server = Server::bind(options(args))?;
    let scheme = if args.tls_cert.is_some() { "https" } else { "http" };
    warn(args);
    print(&format!("listening on {scheme}://{}\n", server.address()))?;

    let stop = server.stopper();
    thread::spawn(move || {
        interrupt.wait_for_signal();
        stop.stop();
        // A second signal kills; for that the first one has to stay known.
        thread::park();
    });
    server.run()?;
    Ok(ExitCode::SUCCESS)
}

fn options(args: &Serve) -> Options {
    let log = || -> Log { Arc::new(|exchange| ui::say(&format!("{exchange}\n"))) };
    let tls = args.tls_cert.clone().zip(args.tls_key.clone());
    Options {
        directory: args.directory.clone(),
        listen: args.listen,
        index_policy: args.index_platforms.clone(),
        access: if args.read_only { Access::ReadOnly } else { Access::ReadWrite },
        tls: tls.map(|(certificate, key)| Tls { certificate, key }),
        users: args.htpasswd.clone(),
        log: args.log.then(log),
        serves: Serves::Many,
    }
}

/// Says what others on the network could do.
fn warn(args: &Serve) {
    if args.listen.ip().is_loopback() {
        return;
    }
    if args.htpasswd.is_none() && !args.read_only {
        ui::say(
            "warning: anyone who reaches this address can push and delete; `--htpasswd` or `--read-only` prevents that\n",
        );
    }
    if args.htpasswd.is_some() && args.tls_cert.is_none() {
        ui::say("warning: passwords are sent in the clear; `--tls-cert` and `--tls-key` prevent that\n");
    }
}
