//! What each host of blobs can do, learned from its answers.
//!
//! A host is taken to serve many ranges in a request until an answer shows otherwise, and links are measured by what
//! passes over them anyway. The hosts meant here are those that send the bytes, after all redirects.

mod estimate;
mod file;
mod known;
mod meter;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use chunked::Abilities;
pub(crate) use known::{Asked, HEADER_LEN_MAX, Known, PARALLELISM, Served};
use meter::{Passed, Together};

/// Most hosts that are remembered; the ones learned of first are forgotten first.
const HOSTS_MAX: usize = 1000;
/// Bytes after which a transfer tells the others how far it is.
const REPORT_LEN: u64 = 256 << 10;

/// Returns what a host is taken to be able to do before it was asked for anything.
pub fn unknown() -> Abilities {
    Known::default().abilities()
}

/// The hosts of blobs that this process asked, or an earlier one. Clones share what they learn.
#[derive(Debug, Clone, Default)]
pub struct Hosts(Arc<Mutex<BTreeMap<String, Host>>>);

/// A host, and what is going on with it.
#[derive(Debug)]
struct Host {
    known: Known,
    /// When the first of it was learned, in seconds of Unix time.
    since: u64,
    /// Bodies being read.
    active: usize,
    /// Bodies ever started.
    started: usize,
    /// The time in which several bodies are being read.
    together: Option<(Instant, Together)>,
}

impl Host {
    fn new(known: Known, since: u64) -> Self {
        Self { known, since, active: 0, started: 0, together: None }
    }

    fn start(&mut self, now: Instant) -> Started {
        let before = self.active;
        self.active = self.active.saturating_add(1);
        self.started = self.started.saturating_add(1);
        if self.active > 1 {
            let first = Together { bodies: 1, ..Together::default() };
            let (_, together) = self.together.get_or_insert((now, first));
            together.peak = together.peak.max(self.active);
            together.bodies = together.bodies.saturating_add(1);
        }
        Started { before, number: self.started }
    }

    fn progress(&mut self, len: u64, waited: Duration) {
        if let Some((_, together)) = &mut self.together {
            together.len = together.len.saturating_add(len);
            together.waited = together.waited.saturating_add(waited);
        }
    }

    /// Takes note of the end of a body; returns how many others there were beside it.
    fn end(&mut self, started: &Started, now: Instant) -> usize {
        self.active = self.active.saturating_sub(1);
        if self.active < 2
            && let Some((since, together)) = self.together.take()
        {
            self.known
                .measure_together(&Together { elapsed: now.saturating_duration_since(since), ..together });
        }
        started.before.saturating_add(self.started.saturating_sub(started.number))
    }
}

/// Where a body stands in the order of its host's bodies.
#[derive(Debug, Clone, Copy)]
struct Started {
    /// Bodies that were being read.
    before: usize,
    /// Its number.
    number: usize,
}

impl Hosts {
    /// Returns what `host` can do, as far as it is known.
    pub(crate) fn abilities(&self, host: &str) -> Abilities {
        self.known(host).unwrap_or_default().abilities()
    }

    /// Returns what is known of `host`.
    pub(crate) fn known(&self, host: &str) -> Option<Known> {
        self.table().get(host).map(|host| host.known.clone())
    }

    /// Returns the host that sends the blobs of `registry`, as far as it is known.
    pub(crate) fn behind(&self, registry: &str) -> String {
        self.known(registry).and_then(|known| known.leads_to).unwrap_or_else(|| registry.to_owned())
    }

    /// Learns where the blobs of `registry` come from.
    pub(crate) fn leads_to(&self, registry: &str, host: &str) {
        let leads_to = (host != registry).then(|| host.to_owned());
        self.update(registry, |registry| registry.known.leads_to = leads_to);
    }

    /// Forgets what was known of the host that sends the blobs of `registry`, in favor of something newer.
    pub(crate) fn replace(&self, registry: &str, host: &str, known: Known) {
        self.table().remove(host);
        self.update(host, |host| host.known = known);
        self.leads_to(registry, host);
    }

    /// Learns from an answer to a request for ranges.
    pub(crate) fn learn(&self, host: &str, asked: Asked, served: Served) {
        self.update(host, |host| host.known.learn(asked, served));
    }

    /// Learns how long an answer took to begin.
    pub(crate) fn answered(&self, host: &str, elapsed: Duration) {
        self.update(host, |host| host.known.round_trip.time(elapsed.as_secs_f64()));
    }

    /// Starts to measure a body that was asked for with `ranges` ranges.
    pub(crate) fn transfer(&self, host: &str, ranges: usize) -> Transfer {
        let now = Instant::now();
        let started = self.update(host, |host| host.start(now));
        let (hosts, host) = (self.clone(), host.to_owned());
        let (zero, len) = (Duration::ZERO, 0);
        Transfer { hosts, host, ranges, since: now, started, len, waited: zero, told: (len, zero) }
    }

    fn update<T>(&self, host: &str, change: impl FnOnce(&mut Host) -> T) -> T {
        let mut table = self.table();
        if !table.contains_key(host) {
            make_room(&mut table, HOSTS_MAX - 1);
        }
        let unknown = || Host::new(Known::default(), unix_seconds(SystemTime::now()));
        change(table.entry(host.to_owned()).or_insert_with(unknown))
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<String, Host>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets the hosts learned of first until at most `most` are left.
fn make_room(table: &mut BTreeMap<String, Host>, most: usize) {
    while table.len() > most {
        let oldest = table.iter().min_by_key(|(_, host)| host.since).map(|(name, _)| name.clone());
        let Some(oldest) = oldest else { return };
        table.remove(&oldest);
    }
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Measures a body while it is read. Its end is when this is dropped.
#[derive(Debug)]
pub(crate) struct Transfer {
    hosts: Hosts,
    host: String,
    ranges: usize,
    since: Instant,
    started: Started,
    len: u64,
    waited: Duration,
    /// What was reported of both.
    told: (u64, Duration),
}

impl Transfer {
    /// Reads from `body`.
    pub(crate) fn read(&mut self, body: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
        let start = Instant::now();
        let count = body.read(buffer)?;
        self.len = self.len.saturating_add(count as u64);
        self.waited = self.waited.saturating_add(start.elapsed());
        if self.len.saturating_sub(self.told.0) >= REPORT_LEN {
            self.tell();
        }
        Ok(count)
    }

    fn tell(&mut self) {
        let len = self.len.saturating_sub(self.told.0);
        let waited = self.waited.saturating_sub(self.told.1);
        self.told = (self.len, self.waited);
        self.hosts.update(&self.host, |host| host.progress(len, waited));
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.tell();
        let now = Instant::now();
        let Self { ranges, since, len, waited, ref started, .. } = *self;
        self.hosts.update(&self.host, |host| {
            let others = host.end(started, now);
            let elapsed = now.saturating_duration_since(since);
            host.known.measure(&Passed { ranges, len, elapsed, waited, others });
        });
    }
}

#[cfg(test)]
mod tests;
