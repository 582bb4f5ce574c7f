//! A registry on this machine, and links to it.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::images::Source;
use anyhow::Context;
use link::{Counts, Link, Proxy, Upstream};
use serde::Serialize;
use server::{Access, Exchange, IndexPolicy, Options, Server, Serves, Stop};

/// A request that the registry was asked.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Asked {
    /// Seconds from the start of the pull until it came.
    pub(crate) at: f64,
    /// Seconds until its answer was on its way.
    pub(crate) seconds: f64,
    pub(crate) what: What,
    pub(crate) ranges: usize,
    pub(crate) status: u16,
    /// Bytes of the answer.
    pub(crate) bytes: u64,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum What {
    Manifest,
    Blob,
    Other,
}

/// What the registry of a stage was asked, with when.
type Log = Arc<Mutex<Vec<(Instant, Instant, Asked)>>>;

/// Links to what is pulled from.
#[derive(Debug)]
pub(super) struct Stage {
    server: Option<Running>,
    direct: Option<SocketAddr>,
    links: Vec<(Link, Proxy)>,
    log: Log,
}

#[derive(Debug)]
struct Running {
    address: SocketAddr,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Stage {
    /// Puts links before a source. Layouts are served first; to registries elsewhere, links lead wherever clients want.
    pub(super) fn start(source: &Source, serves: Serves, links: &[Link]) -> anyhow::Result<Self> {
        let log = Log::default();
        let server = source.layouts().map(|layouts| Running::start(layouts, serves, &log)).transpose()?;
        let direct = match source {
            Source::Here(address) => Some(*address),
            Source::Layouts(_) | Source::Elsewhere => server.as_ref().map(|server| server.address),
        };
        let upstream = direct.map_or(Upstream::Anywhere, Upstream::Server);
        let start = |link: &Link| Ok((*link, Proxy::start(upstream.clone(), *link)?));
        let links = links.iter().map(start).collect::<io::Result<_>>().context("cannot make a link")?;
        Ok(Self { server, direct, links, log })
    }

    /// Returns the address of a registry of this machine, without any link in between.
    pub(super) fn direct(&self) -> Option<SocketAddr> {
        self.direct
    }

    /// Returns where a link begins.
    pub(super) fn address(&self, link: usize) -> Option<SocketAddr> {
        self.links.get(link).map(|(_, proxy)| proxy.address())
    }

    /// Returns what went over a link so far.
    pub(super) fn counts(&self, link: usize) -> Counts {
        self.links.get(link).map(|(_, proxy)| proxy.counts()).unwrap_or_default()
    }

    /// Takes what the registry was asked since `start`; `None` where it is not ours.
    pub(super) fn take_log(&self, start: Instant) -> Option<Vec<Asked>> {
        self.server.as_ref()?;
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = |from: Instant, to: Instant| to.saturating_duration_since(from).as_secs_f64();
        let mut asked: Vec<_> = log
            .drain(..)
            .filter(|(began, ..)| *began >= start)
            .map(|(began, ended, asked)| Asked {
                at: seconds(start, began),
                seconds: seconds(began, ended),
                ..asked
            })
            .collect();
        asked.sort_by(|one, other| one.at.total_cmp(&other.at));
        Some(asked)
    }
}

impl Running {
    fn start(layouts: &Path, serves: Serves, log: &Log) -> anyhow::Result<Self> {
        let log = Arc::clone(log);
        let server = Server::bind(Options {
            directory: layouts.to_owned(),
            listen: ([127, 0, 0, 1], 0).into(),
            index_policy: IndexPolicy::All,
            access: Access::ReadOnly,
            tls: None,
            users: None,
            log: Some(Arc::new(move |exchange| note(&log, exchange))),
            serves,
        })?;
        let (address, stop) = (server.address(), server.stopper());
        // Clients see what goes wrong.
        let run = move || drop(server.run());
        let thread = thread::Builder::new().spawn(run).context("cannot start a thread")?;
        Ok(Self { address, stop, thread: Some(thread) })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.stop();
        // Where it panicked, it serves nothing more either.
        self.thread.take().map(JoinHandle::join);
    }
}

fn note(log: &Log, exchange: &Exchange) {
    let path = exchange.path();
    let what = match () {
        () if path.contains("/manifests/") => What::Manifest,
        () if path.contains("/blobs/") => What::Blob,
        () => What::Other,
    };
    let asked = Asked {
        at: 0.0,
        seconds: 0.0,
        what,
        ranges: exchange.ranges(),
        status: exchange.status(),
        bytes: exchange.sent(),
    };
    let entry = (exchange.started(), Instant::now(), asked);
    log.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
}
