//! A layer that is served: how far it is, and what is to be filled in next.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use store::{LayerRecord, LayerState};

use super::{Failure, Place};
use crate::contents::Table;

/// The first wait after a request for a layer failed, before it is filled on; doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest such wait.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A layer that is served.
#[derive(Debug)]
pub struct Layer {
    /// The number of its table.
    pub number: u32,
    pub(super) table: Arc<Table>,
    record: LayerRecord,
    pub(super) fill: Mutex<Fill>,
    is_wanted: AtomicBool,
    places: RwLock<Vec<Place>>,
    verdict: RwLock<Verdict>,
}

/// How much of a layer is here, and what was found of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Content is missing.
    Incomplete,
    /// All of it is here, and the diff ID is being computed.
    Proving,
    /// All of it is here and verified.
    Done(LayerState),
    /// The tar is another one than the image's configuration says: nothing of the image can be relied on to be what it
    /// claims.
    Quarantined(String),
}

/// Where filling is.
#[derive(Debug, Default)]
pub(super) struct Fill {
    /// The next chunk to look at.
    pub(super) next: u32,
    /// Whether something was missing since the first chunk.
    pub(super) found_missing: bool,
    /// Not before.
    retry_at: Option<Instant>,
    wait: Duration,
    /// What the last request said, if it failed.
    why: Option<String>,
}

impl Layer {
    pub(super) fn new(number: u32, table: Arc<Table>, record: LayerRecord) -> Self {
        let verdict = match record.state {
            LayerState::Indexed => Verdict::Incomplete,
            state => Verdict::Done(state),
        };
        Self {
            number,
            table,
            record,
            fill: Mutex::default(),
            is_wanted: AtomicBool::new(false),
            places: RwLock::default(),
            verdict: RwLock::new(verdict),
        }
    }

    /// Returns what is known of it from when it was attached.
    pub fn record(&self) -> &LayerRecord {
        &self.record
    }

    /// Says where else its blob is. The last that was said is asked first.
    pub(super) fn add_place(&self, place: &Place) {
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        places.retain(|known| known != place);
        places.insert(0, place.clone());
    }

    /// Lists where its blob is.
    pub(super) fn places(&self) -> Vec<Place> {
        self.places.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns how far it is.
    pub fn verdict(&self) -> Verdict {
        self.verdict.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has whoever asks first prove it; `false` for everybody else.
    pub(super) fn start_to_prove(&self) -> bool {
        let mut verdict = self.verdict.write().unwrap_or_else(PoisonError::into_inner);
        let is_first = *verdict == Verdict::Incomplete;
        if is_first {
            *verdict = Verdict::Proving;
        }
        is_first
    }

    pub(super) fn judge(&self, verdict: Verdict) {
        *self.verdict.write().unwrap_or_else(PoisonError::into_inner) = verdict;
    }

    /// Wants all of it to be here some day, or not any more. What failed before is tried again at once.
    pub(super) fn want_filled(&self, is_wanted: bool) {
        if is_wanted {
            self.fill().retry_at = None;
        }
        self.is_wanted.store(is_wanted, Ordering::Release);
    }

    /// Tells whether something can be filled in now.
    pub(super) fn can_be_filled(&self, now: Instant) -> bool {
        self.is_wanted.load(Ordering::Acquire)
            && self.fill().retry_at.is_none_or(|at| at <= now)
            && self.verdict() == Verdict::Incomplete
    }

    pub(super) fn fill(&self) -> MutexGuard<'_, Fill> {
        self.fill.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fills on only after a while. Tells whether the reason is another one than before.
    pub(super) fn back_off(&self, failure: &Failure) -> bool {
        let mut fill = self.fill();
        // What was on its way when it began to fail tells nothing new.
        if fill.retry_at.is_some_and(|at| Instant::now() < at) {
            return false;
        }
        let why = Some(failure.to_string());
        let is_news = fill.why != why;
        fill.why = why;
        fill.wait = fill.wait.saturating_mul(2).clamp(FIRST_WAIT, LONGEST_WAIT);
        fill.retry_at = Instant::now().checked_add(fill.wait);
        is_news
    }

    /// Returns why the last request for it failed, if it did.
    pub fn failure(&self) -> Option<String> {
        self.fill().why.clone()
    }

    /// Tells whether another layer should be asked first: the last request for this one failed, not long ago, or there is no
    /// place to ask.
    pub(super) fn is_resting(&self) -> bool {
        self.fill().retry_at.is_some_and(|at| Instant::now() < at) || self.places().is_empty()
    }

    /// Says that requests for it are answered.
    pub(super) fn goes_well(&self) {
        let mut fill = self.fill();
        (fill.wait, fill.retry_at, fill.why) = (Duration::ZERO, None, None);
    }
}
