//! Fetches content that is missing: at once what somebody waits for, soon what somebody will want, and everything else when
//! nobody waits for anything.
//!
//! ```text
//!  reads of the kernel ──► queue ──► carriers (threads) ──► objects, chunks of partial files
//!  profiles, neighbours ──►  ▲            │                        │
//!  filling ──────────────────┘            ▼                        ▼
//!                                  who waits is told      whole files verified, layers proven
//! ```
//!
//! No chunk is on its way twice, whoever wants it. A chunk is seen by readers once its own digest is verified, a whole file
//! becomes an object once its digest is, and a layer is called proven once its tar has the diff ID. Some of the carriers are
//! kept free of everything but faults, and filling reads no further while a fault is not served.

mod ahead;
mod along;
mod carry;
mod copy;
mod counters;
mod elsewhere;
mod events;
mod failure;
mod fill;
mod held;
mod layer;
mod progress;
mod prove;
mod queue;
mod read;
mod record;
mod supply;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::Scope;
use std::time::{Duration, Instant};

use chunked::Link;
use crossbeam_channel::{Receiver, Sender, unbounded};
use store::{LayerRecord, Store};

pub use counters::{Counters, Counts};
pub use events::{Events, NoEvents};
pub use failure::Failure;
pub use layer::{Layer, Verdict};
pub use progress::Progress;
pub use queue::Urgency;
pub use read::{Found, Missing};
pub use record::Recorded;
pub use supply::{Place, Supply};

use ahead::Budget;
use carry::{Carrier, SMALL_LEN_MAX};
use held::{Held, HeldContents};
use queue::{Bounds, Job, Key, Queue};

use crate::contents::{ContentRow, Node, Table, Tables};

/// Least and most compressed bytes that are asked for at once when nobody waits for them.
const BATCH_LEN_MIN: u64 = 128 << 10;
const BATCH_LEN_MAX: u64 = 2 << 20;
/// How long who begins to wait may have to wait for what nobody waits for: so many round trips, or this, which is longer where
/// the host is near. Shorter requests would keep the processor busy, and the link idle.
const ROUND_TRIPS: u32 = 3;
const BEHIND_MIN: Duration = Duration::from_millis(20);
/// What is asked for at once when somebody waits for it.
const FAULTS: Bounds = Bounds { count: 256, blob_len: 4 << 20 };
/// Between two looks at what has to be done now and then.
const TICK: Duration = Duration::from_millis(250);
/// Threads that verify what is complete.
const VERIFIERS: usize = 2;
/// How long filling waits for a fault at most, so that nobody is stopped by it for ever.
const WAY_GIVEN_MAX: Duration = Duration::from_secs(10);

/// How content is fetched.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Threads that fetch, at least 4.
    pub carriers: usize,
    /// How long nobody must have waited for anything until something is filled in.
    pub quiet: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { carriers: 8, quiet: Duration::from_secs(1) }
    }
}

/// Stands for somebody who waits for chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Says that somebody has nothing to wait for any more.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Who.
    pub ticket: Ticket,
    /// Whether all of it came.
    pub result: Result<(), Failure>,
}

/// Fetches what is missing of the layers that are attached to it.
pub struct Fetcher<'s> {
    store: &'s Store,
    supply: &'s dyn Supply,
    events: &'s dyn Events,
    options: Options,
    tables: Tables,
    layers: RwLock<BTreeMap<u32, Arc<Layer>>>,
    held: HeldContents<'s>,
    queue: Mutex<Queue>,
    changed: Condvar,
    tell: Sender<Ended>,
    ripe: (Sender<Ripe<'s>>, Receiver<Ripe<'s>>),
    /// Layers whose place nobody has been to.
    cold: (Sender<Arc<Layer>>, Receiver<Arc<Layer>>),
    /// Carriers that prefetch or fill.
    busy: [AtomicUsize; 2],
    last_fault: Mutex<Option<Instant>>,
    /// How many wait until all of an image is here.
    awaited: AtomicUsize,
    budget: Budget,
    /// Bytes that may be on their way that nobody waits for.
    in_flight_len: AtomicU64,
    counters: Counters,
    record: Mutex<Option<record::Reads>>,
    is_stopped: AtomicBool,
}

/// What is complete and has to be verified as a whole.
enum Ripe<'s> {
    File(Arc<Held<'s>>),
    Layer(Arc<Layer>),
}

impl<'s> Fetcher<'s> {
    /// Fetches into `store`, from `supply`. Who waits is told by the receiver.
    pub fn new(
        store: &'s Store,
        supply: &'s dyn Supply,
        events: &'s dyn Events,
        options: Options,
    ) -> (Self, Receiver<Ended>) {
        let (tell, ended) = unbounded();
        let fetcher = Self {
            store,
            supply,
            events,
            options,
            tables: Tables::default(),
            layers: RwLock::default(),
            held: HeldContents::default(),
            queue: Mutex::default(),
            changed: Condvar::new(),
            tell,
            ripe: unbounded(),
            cold: unbounded(),
            busy: Default::default(),
            last_fault: Mutex::default(),
            awaited: AtomicUsize::new(0),
            budget: Budget::default(),
            in_flight_len: AtomicU64::new(BATCH_LEN_MIN),
            counters: Counters::default(),
            record: Mutex::default(),
            is_stopped: AtomicBool::new(false),
        };
        (fetcher, ended)
    }

    /// Serves the contents of a layer from now on. One that was served before goes on as it was, unless it was for another
    /// image that claimed another diff ID: then this record takes its place, so that no image is judged by what another one
    /// says. The store has one record of a layer, so whoever claimed the other one is gone, or was wrong.
    pub fn attach(&self, record: &LayerRecord, table: Table) -> Arc<Layer> {
        // Whoever mounts something will soon read it.
        self.disturb();
        // What was pulled since this process started has chunks, too. Without them they are fetched.
        let _ = self.store.index().reload();
        let (number, table) = self.tables.add(&record.toc_digest, table);
        let mut layers = self.layers.write().unwrap_or_else(PoisonError::into_inner);
        let known = layers.get(&number).cloned();
        if let Some(known) = known.as_ref().filter(|known| known.record().diff_id == record.diff_id) {
            return Arc::clone(known);
        }
        let fresh = Arc::new(Layer::new(number, table, record.clone()));
        let places = known.map(|known| known.places()).unwrap_or_default();
        places.iter().rev().for_each(|place| fresh.add_place(place));
        layers.insert(number, Arc::clone(&fresh));
        fresh
    }

    /// Wants all of a layer to be here some day, or not any more.
    pub fn fill(&self, layer: &Layer, is_wanted: bool) {
        layer.want_filled(is_wanted);
        self.changed.notify_all();
    }

    /// Fills in without a wait until nobody has waited for anything for a while, as long as what is returned lives. What
    /// somebody is stopped for comes first as ever.
    pub fn hurry(&self) -> Hurry<'_> {
        self.awaited.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_all();
        Hurry(&self.awaited)
    }

    /// Says where the blob of a layer is. The last that was said is asked first, and is connected to at once, so that the
    /// first read does not wait for that as well.
    pub fn add_place(&self, layer: &Arc<Layer>, place: &Place) {
        layer.add_place(place);
        let _ = self.cold.0.send(Arc::clone(layer));
    }

    /// Returns the tables of the layers.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Counts what was done.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Counts the chunks that are on their way.
    pub fn pending(&self) -> usize {
        self.queue().len()
    }

    /// Starts to work, until [`Fetcher::stop`] is called.
    pub fn start<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>)
    where
        's: 'scope,
    {
        for _ in 0..self.options.carriers.max(4) {
            scope.spawn(|| self.work());
        }
        for _ in 0..VERIFIERS {
            scope.spawn(|| self.verify());
        }
        scope.spawn(|| self.warm_up());
        scope.spawn(|| self.tick());
    }

    /// Ends all threads, once what they are about is done.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Release);
        self.changed.notify_all();
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Acquire)
    }

    fn work(&self) {
        let mut carrier = Carrier::new(self);
        while !self.is_stopped() {
            let Some((urgency, jobs, _busy)) = self.next() else {
                let queue = self.queue();
                drop(self.changed.wait_timeout(queue, TICK));
                continue;
            };
            carrier.carry(urgency, jobs);
        }
    }

    /// Finds the most urgent work. Some carriers are left for faults, and some for faults and what will soon be wanted.
    fn next(&self) -> Option<(Urgency, Vec<Job>, Busy<'_>)> {
        let carriers = self.options.carriers.max(4);
        let jobs = self.queue().take_faults(FAULTS);
        if !jobs.is_empty() {
            return Some((Urgency::Fault, jobs, Busy(None)));
        }
        let [prefetching, filling] = &self.busy;
        let (most, bounds) = self.shares(carriers / 2 - 1);
        if let Some(busy) = Busy::below(prefetching, most) {
            let jobs = self.queue().take_prefetches(bounds);
            if !jobs.is_empty() {
                return Some((Urgency::Prefetch, jobs, busy));
            }
        }
        if prefetching.load(Ordering::Acquire) > 0 || !self.is_quiet() {
            return None;
        }
        let (most, bounds) = self.shares(carriers / 2);
        let busy = Busy::below(filling, most)?;
        let jobs = self.next_fill(bounds);
        let jobs = self.queue().take_fill(jobs);
        (!jobs.is_empty()).then_some((Urgency::Fill, jobs, busy))
    }

    /// Says how many of some carriers may ask for what nobody waits for, and for how much each.
    fn shares(&self, carriers: usize) -> (usize, Bounds) {
        let in_flight = self.in_flight_len.load(Ordering::Relaxed);
        let shares = (in_flight / BATCH_LEN_MIN).clamp(1, carriers.max(1) as u64);
        let blob_len = (in_flight / shares).clamp(BATCH_LEN_MIN, BATCH_LEN_MAX);
        (usize::try_from(shares).unwrap_or(carriers), Bounds { count: 512, blob_len })
    }

    /// Takes note of what is known of a link.
    fn note_link(&self, link: &Link) {
        let time = link.round_trip.saturating_mul(ROUND_TRIPS).max(BEHIND_MIN);
        // A float that is too large becomes the largest integer.
        let len = (time.as_secs_f64() * link.bandwidth) as u64;
        self.in_flight_len.store(len, Ordering::Relaxed);
    }

    /// Puts off what is done when nobody waits for anything.
    fn disturb(&self) {
        *self.last_fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn is_quiet(&self) -> bool {
        let last = *self.last_fault.lock().unwrap_or_else(PoisonError::into_inner);
        let is_settled = || last.is_none_or(|at| at.elapsed() >= self.options.quiet);
        !self.queue().is_urgent() && (self.awaited.load(Ordering::Acquire) > 0 || is_settled())
    }

    /// Waits, if this is only to fill in, while somebody else waits for something.
    fn give_way(&self, urgency: Urgency, key: &Key) {
        if urgency != Urgency::Fill {
            return;
        }
        let start = Instant::now();
        let mut queue = self.queue();
        while queue.is_urgent()
            && queue.urgency_of(key) == Some(Urgency::Fill)
            && start.elapsed() < WAY_GIVEN_MAX
            && !self.is_stopped()
        {
            let waited = self.changed.wait_timeout(queue, TICK);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes note that a chunk came or will not come.
    fn ended(&self, urgency: Urgency, job: &Job, result: Result<(), Failure>) {
        match &result {
            Ok(()) => {
                self.counters.chunk(urgency, job.chunk.blob.len());
                if let Some(layer) = self.layer(job.source) {
                    layer.goes_well();
                }
            }
            Err(failure @ (Failure::Wrong { .. } | Failure::Frame { .. })) => {
                self.counters.wrong_chunk();
                if let Some(layer) = self.layer(job.source) {
                    self.put_off(&layer, failure);
                }
            }
            Err(_) => {}
        }
        if result.as_ref().is_err_and(Failure::is_of_source) && self.try_elsewhere(job) {
            return;
        }
        self.tell_of(job, &result);
    }

    /// Takes note that a chunk was here, in another object.
    fn copied(&self, job: &Job) {
        self.counters.copied();
        self.tell_of(job, &Ok(()));
    }

    /// Tells everybody who waits for a chunk.
    fn tell_of(&self, job: &Job, result: &Result<(), Failure>) {
        let mut queue = self.queue();
        let was_urgent = queue.is_urgent();
        let ended = queue.end(&job.key, result);
        let is_urgent = queue.is_urgent();
        drop(queue);
        // Only who gave way waits for that: to wake all for each chunk took a third of the time.
        if was_urgent && !is_urgent {
            self.changed.notify_all();
        }
        for ended in ended {
            // Nobody listens when everything ends.
            let _ = self.tell.send(ended);
        }
    }

    fn put_back(&self, jobs: &[Job]) {
        if !jobs.is_empty() {
            self.queue().put_back(jobs);
            self.changed.notify_all();
        }
    }

    /// Connects to places.
    fn warm_up(&self) {
        while !self.is_stopped() {
            let Ok(layer) = self.cold.1.recv_timeout(TICK) else { continue };
            if let Some(place) = layer.places().first() {
                self.note_link(&self.supply.abilities(place, layer.record()).link);
            }
        }
    }

    fn tick(&self) {
        while !self.is_stopped() {
            std::thread::sleep(TICK);
            self.held.sweep();
        }
    }

    fn held(&self, node: Node, content: &ContentRow) -> Result<Arc<Held<'s>>, Failure> {
        let table = self.tables.table(node.table).ok_or(Failure::NoLayer)?;
        self.held.get(self.store, node, content, &table)
    }

    fn layer(&self, number: u32) -> Option<Arc<Layer>> {
        self.layers.read().unwrap_or_else(PoisonError::into_inner).get(&number).cloned()
    }

    /// Lists the layers.
    pub fn layers(&self) -> Vec<Arc<Layer>> {
        self.layers.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Fetcher<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher").field("store", &self.store.path()).finish_non_exhaustive()
    }
}

/// Tells whether a content is decoded, hashed and stored in one go, unless it is a hole.
fn is_small(content: &ContentRow) -> bool {
    content.chunk_count == 1 && content.len <= SMALL_LEN_MAX
}

/// Somebody who waits until all of an image is here.
#[derive(Debug)]
pub struct Hurry<'f>(&'f AtomicUsize);

impl Drop for Hurry<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A carrier that is at work on something that is not urgent.
struct Busy<'f>(Option<&'f AtomicUsize>);

impl<'f> Busy<'f> {
    fn below(count: &'f AtomicUsize, most: usize) -> Option<Self> {
        let more = |count: usize| (count < most).then_some(count.saturating_add(1));
        count.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok().map(|_| Self(Some(count)))
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        if let Some(count) = self.0 {
            count.fetch_sub(1, Ordering::AcqRel);
        }
    }
}
