//! Brings the layers of one or several images into the store, several at once.
//!
//! First every layer is opened, which takes a few small requests, and compared with the store. Then what is missing is
//! fetched. A content that several layers need is brought by the lowest of them.

mod index;
mod layer;
mod present;
mod prove;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use chunked::digest::DiffId;
use chunked::{BlobDigest, RangeSource};

use crate::error::Error;
use crate::fetch::{self, Elsewhere, Others};
use crate::layers::{LayerLock, LayerRecord};
use crate::seed::Seeds;
use crate::store::Store;

pub use index::{Indexed, find_indexed, index};
pub use present::{Identity, find_present};
pub use prove::{prove, settle};
pub use report::{How, LayerReport};

/// Layers at once where nobody says how many.
pub const LAYERS_AT_ONCE: NonZeroUsize = NonZeroUsize::new(3).unwrap();

/// A layer that an image needs.
pub struct Task<'a> {
    /// The blob's digest, for which the image's manifest vouches.
    pub blob: BlobDigest,
    /// The blob.
    pub source: Box<dyn RangeSource + Send + Sync + 'a>,
    /// The annotations of its descriptor.
    pub annotations: BTreeMap<String, String>,
    /// What the image's configuration says the tar hashes to.
    pub diff_id: Option<DiffId>,
}

impl Task<'_> {
    fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(String::as_str)
    }

    fn identity(&self) -> Identity {
        Identity::new(self.blob, self.diff_id, |key| self.annotation(key))
    }
}

impl std::fmt::Debug for Task<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task").field("blob", &self.blob).finish_non_exhaustive()
    }
}

/// How layers are brought in.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Layers at once; `None` means [`LAYERS_AT_ONCE`].
    pub layers: Option<NonZeroUsize>,
    /// How each is.
    pub fetch: fetch::Options,
    /// Where else content may be.
    pub seeds: Seeds,
    /// Whether the caller syncs the store right after it, so that writeback had better begin early.
    pub sync: bool,
    /// Which of the layers that are here will do.
    pub accept: Accept,
}

/// Which layers that are here will do in the place of one that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Accept {
    /// Those with the same tar, however that was compressed.
    #[default]
    SameTar,
    /// Those with the same TOC as well, if the one that is wanted has one. Of any other, the TOC is fetched and proven to
    /// describe the tar; its content is here.
    SameToc,
}

/// Brings the layers into the store. Returns, for each task, the layer's record and what it took.
///
/// Other processes that want one of the layers wait meanwhile, and so does this one for them.
///
/// # Errors
/// The first failure of a layer; the others are given up. What was verified until then stays.
pub fn pull(
    store: &Store,
    tasks: &[Task<'_>],
    options: &Options,
    progress: &dyn fetch::Progress,
) -> Result<Vec<(LayerRecord, LayerReport)>, Error> {
    // All in one order, so that two processes never wait for each other.
    let blobs: BTreeSet<_> = tasks.iter().map(|task| task.blob).collect();
    let locks = blobs.iter().map(|blob| Ok((*blob, store.layers().lock(blob)?)));
    let locks: BTreeMap<BlobDigest, LayerLock> = locks.collect::<Result<_, Error>>()?;

    let pull = Pull::new(store, options, progress, tasks.len());
    let opened = pull.each(tasks, |_, task| pull.open(task, |_| {}))?;
    let planned: Vec<_> = tasks.iter().zip(pull.plan(&opened)?).collect();
    let bring = || {
        pull.each(&planned, |index, (task, planned)| {
            let _ending = pull.elsewhere.ending(index);
            pull.bring(index, task, planned)
        })
    };
    let done = if options.sync { store.durability().flushing(bring) } else { bring() };
    drop(locks);
    done
}

struct Pull<'a> {
    store: &'a Store,
    options: &'a Options,
    progress: &'a dyn fetch::Progress,
    elsewhere: Elsewhere,
    /// Whether a layer has failed, so that the others are given up.
    stop: AtomicBool,
    start: Instant,
    /// Layers that are brought in side by side.
    at_once: usize,
}

impl<'a> Pull<'a> {
    fn new(store: &'a Store, options: &'a Options, progress: &'a dyn fetch::Progress, tasks: usize) -> Self {
        let (elsewhere, stop) = (Elsewhere::default(), AtomicBool::new(false));
        let at_once = options.layers.unwrap_or(LAYERS_AT_ONCE).get().min(tasks).max(1);
        Self { store, options, progress, elsewhere, stop, start: Instant::now(), at_once }
    }

    fn others(&self) -> Others<'_> {
        Others {
            elsewhere: &self.elsewhere,
            at_once: self.at_once,
            stop: &self.stop,
            seeds: &self.options.seeds,
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Does something with each item, in order but several at once, until it fails for one.
    fn each<I: Sync, T: Send>(
        &self,
        items: &[I],
        work: impl Fn(usize, &I) -> Result<T, Error> + Sync,
    ) -> Result<Vec<T>, Error> {
        let next = Mutex::new(items.iter().enumerate());
        let done = Mutex::new(Vec::new());
        let failed = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..self.at_once.min(items.len()) {
                scope.spawn(|| {
                    while !self.is_stopped() {
                        let item = next.lock().unwrap_or_else(PoisonError::into_inner).next();
                        let Some((index, item)) = item else { return };
                        match work(index, item) {
                            Ok(value) => {
                                done.lock().unwrap_or_else(PoisonError::into_inner).push((index, value))
                            }
                            Err(error) => {
                                self.stop.store(true, Ordering::Relaxed);
                                failed.lock().unwrap_or_else(PoisonError::into_inner).push(error);
                            }
                        }
                    }
                });
            }
        });
        let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
        // Of those that follow from one another, the cause.
        if let Some(error) = failed.into_iter().min_by_key(Error::is_consequence) {
            return Err(error);
        }
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|(index, _)| *index);
        Ok(done.into_iter().map(|(_, value)| value).collect())
    }
}
