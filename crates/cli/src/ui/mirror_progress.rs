//! How far the mirroring of images is.

use chunked::convert::Progress as _;
use registry::mirror;

use super::progress::Progress;
use crate::args::Form;

/// Tells how many bytes of all images have been moved.
#[derive(Debug)]
pub(crate) struct MirrorProgress(Progress);

impl MirrorProgress {
    /// Starts before anything is known.
    pub(crate) fn start(form: Form) -> Self {
        Self(Progress::start("mirror", Some(0), form))
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.0.finish();
    }
}

impl mirror::Progress for MirrorProgress {
    fn planned(&self, bytes: u64) {
        self.0.more(bytes);
    }

    fn moved(&self, bytes: u64) {
        self.0.read(bytes);
    }
}
