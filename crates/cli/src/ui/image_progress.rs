//! How far the conversion of an image is, and how long its layers took.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use chunked::BlobDigest;
use chunked::convert::Progress as _;
use registry::convert::{self, LayerReport};
use registry::{Descriptor, Reference};

use super::progress::Progress;
use crate::args::Form;

/// Tells how many bytes of an image's layers have been read.
#[derive(Debug)]
pub(crate) struct ImageProgress<'a> {
    image: &'a Reference,
    form: Form,
    /// Known once the work is planned.
    bytes: OnceLock<Progress>,
    layer: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    started: Option<Instant>,
    times: Times,
}

/// How long layers took to convert.
#[derive(Debug, Default)]
pub(crate) struct Times(HashMap<BlobDigest, Duration>);

impl Times {
    /// Returns how long it took to convert the layer in this blob of the source.
    pub(crate) fn of(&self, digest: &BlobDigest) -> Option<Duration> {
        self.0.get(digest).copied()
    }
}

impl<'a> ImageProgress<'a> {
    /// Starts before anything is known.
    pub(crate) fn start(image: &'a Reference, form: Form) -> Self {
        Self { image, form, bytes: OnceLock::new(), layer: Mutex::default() }
    }

    /// Takes the bar away, and returns how long everything took.
    pub(crate) fn finish(self) -> Times {
        if let Some(bytes) = self.bytes.get() {
            bytes.finish();
        }
        self.layer.into_inner().unwrap_or_else(PoisonError::into_inner).times
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.layer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl convert::Progress for ImageProgress<'_> {
    fn planned(&self, _: usize, blob_len: u64) {
        self.bytes.get_or_init(|| Progress::start(self.image, Some(blob_len), self.form));
    }

    fn layer_started(&self, _: &Descriptor) {
        self.state().started = Some(Instant::now());
    }

    fn layer_advanced(&self, blob_len: u64) {
        if let Some(bytes) = self.bytes.get() {
            bytes.read(blob_len);
        }
    }

    fn layer_finished(&self, report: &LayerReport) {
        let mut state = self.state();
        if let Some(started) = state.started.take() {
            state.times.0.entry(report.source.digest).or_insert(started.elapsed());
        }
    }
}
