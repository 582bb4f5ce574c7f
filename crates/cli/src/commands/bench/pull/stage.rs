//! A registry on this machine, and links to it.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
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

/// A registry, and links to it.
#[derive(Debug)]
pub(super) struct Stage {
    /// Those of this process's own.
    servers: Vec<Registry>,
    pub(super) plain: Door,
    /// The same registry by TLS, for those that speak nothing else.
    pub(super) by_tls: Option<Door>,
    log: Log,
}

/// An address of a registry, and links to it.
#[derive(Debug)]
pub(super) struct Door {
    /// `None` where links lead to registries elsewhere.
    direct: Option<SocketAddr>,
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
        let serve = |tls| {
            let log = Arc::clone(&log);
            let log: server::Log = Arc::new(move |exchange| note(&log, exchange));
            let start =
                |layouts| Registry::start(Options { serves, tls, log: Some(log), ..options(layouts) });
            source.layouts().map(start).transpose()
        };
        let server = serve(None)?;
        let direct = match source {
            Source::Here(address) => Some(*address),
            Source::Layouts(_) | Source::Elsewhere => server.as_ref().map(Registry::address),
        };
        let plain = Door::open(direct, links)?;
        let secured = tls.map(|tls| serve(Some(tls))).transpose()?.flatten();
        let by_tls = secured.as_ref().map(|server| Door::open(Some(server.address), links)).transpose()?;
        Ok(Self { servers: server.into_iter().chain(secured).collect(), plain, by_tls, log })
    }

    /// Returns what went over a link so far.
    pub(super) fn counts(&self, link: usize) -> Counts {
        self.by_tls.as_ref().map(|door| door.counts(link)).unwrap_or_default().plus(self.plain.counts(link))
    }

    /// Takes what the registry was asked meanwhile, and forgets the rest; `None` where it is not ours.
    pub(super) fn take_log(&self, time: Range<Instant>) -> Option<Vec<Asked>> {
        if self.servers.is_empty() {
            return None;
        }
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = |from: Instant, to: Instant| to.saturating_duration_since(from).as_secs_f64();
        let mut asked: Vec<_> = log
            .drain(..)
            .filter(|(began, ..)| time.contains(began))
            .map(|(began, ended, asked)| Asked {
                at: seconds(time.start, began),
                seconds: seconds(began, ended),
                ..asked
            })
            .collect();
        asked.sort_by(|one, other| one.at.total_cmp(&other.at));
        Some(asked)
    }
}

impl Door {
    fn open(direct: Option<SocketAddr>, links: &[Link]) -> anyhow::Result<Self> {
        let upstream = direct.map_or(Upstream::Anywhere, Upstream::Server);
        let links = links.iter().map(|link| Proxy::start(upstream.clone(), *link));
        Ok(Self { direct, links: links.collect::<io::Result<_>>().context("cannot make a link")? })
    }

    /// Returns the address over a link, or without any.
    pub(super) fn address(&self, link: Option<usize>) -> Option<SocketAddr> {
        link.map_or(self.direct, |link| self.links.get(link).map(Proxy::address))
    }

    fn counts(&self, link: usize) -> Counts {
        self.links.get(link).map(Proxy::counts).unwrap_or_default()
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
