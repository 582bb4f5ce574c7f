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
use server::{Access, Exchange, IndexPolicy, Options, Server, Serves, Stop, Tls};

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
    server: Option<Registry>,
    direct: Option<SocketAddr>,
    links: Vec<Proxy>,
    by_tls: Option<ByTls>,
    log: Log,
}

/// The same by TLS, for those that speak nothing else.
#[derive(Debug)]
struct ByTls {
    server: Registry,
    links: Vec<Proxy>,
}

/// A registry of this process's own.
#[derive(Debug)]
pub(super) struct Registry {
    address: SocketAddr,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Stage {
    /// Puts links before a source. Layouts are served first, with TLS at another address if there is a certificate; to registries
    /// elsewhere, links lead wherever clients want.
    pub(super) fn start(
        source: &Source,
        serves: Serves,
        links: &[Link],
        tls: Option<Tls>,
    ) -> anyhow::Result<Self> {
        let log = Log::default();
        let serve = |tls| -> anyhow::Result<Option<Registry>> {
            let Some(layouts) = source.layouts() else { return Ok(None) };
            let log = Arc::clone(&log);
            let log: server::Log = Arc::new(move |exchange| note(&log, exchange));
            Registry::start(Options { serves, tls, log: Some(log), ..options(layouts) }).map(Some)
        };
        let start = |upstream: &Upstream| -> anyhow::Result<Vec<Proxy>> {
            let links = links.iter().map(|link| Proxy::start(upstream.clone(), *link));
            links.collect::<io::Result<_>>().context("cannot make a link")
        };
        let server = serve(None)?;
        let direct = match source {
            Source::Here(address) => Some(*address),
            Source::Layouts(_) | Source::Elsewhere => server.as_ref().map(Registry::address),
        };
        let by_tls = match tls.map(|tls| serve(Some(tls))).transpose()?.flatten() {
            Some(server) => Some(ByTls { links: start(&Upstream::Server(server.address))?, server }),
            None => None,
        };
        let links = start(&direct.map_or(Upstream::Anywhere, Upstream::Server))?;
        Ok(Self { server, direct, links, by_tls, log })
    }

    /// Returns the address of a registry of this machine, over a link or without any; `None` where it is elsewhere, and there is
    /// no link.
    pub(super) fn address(&self, link: Option<usize>) -> Option<SocketAddr> {
        match link {
            Some(link) => self.links.get(link).map(Proxy::address),
            None => self.direct,
        }
    }

    /// The same where it speaks TLS.
    pub(super) fn address_by_tls(&self, link: Option<usize>) -> Option<SocketAddr> {
        let by_tls = self.by_tls.as_ref()?;
        match link {
            Some(link) => by_tls.links.get(link).map(Proxy::address),
            None => Some(by_tls.server.address),
        }
    }

    /// Returns what went over a link so far.
    pub(super) fn counts(&self, link: usize) -> Counts {
        let of = |links: &[Proxy]| links.get(link).map(Proxy::counts).unwrap_or_default();
        of(&self.links).plus(self.by_tls.as_ref().map(|by_tls| of(&by_tls.links)).unwrap_or_default())
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

/// Returns what all registries of benches have in common: nobody writes, unless that is changed.
pub(super) fn options(layouts: &Path) -> Options {
    Options {
        directory: layouts.to_owned(),
        listen: ([127, 0, 0, 1], 0).into(),
        index_policy: IndexPolicy::All,
        access: Access::ReadOnly,
        tls: None,
        users: None,
        log: None,
        serves: Serves::Many,
    }
}

impl Registry {
    pub(super) fn start(options: Options) -> anyhow::Result<Self> {
        let server = Server::bind(options)?;
        let (address, stop) = (server.address(), server.stopper());
        // Clients see what goes wrong.
        let run = move || drop(server.run());
        let thread = thread::Builder::new().spawn(run).context("cannot start a thread")?;
        Ok(Self { address, stop, thread: Some(thread) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Registry {
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
