//! How far a pull is.

use chunked::convert::Progress as _;
use store::fetch;

use super::progress::Progress;
use crate::args::Form;

/// Tells how many bytes of all layers have come.
#[derive(Debug)]
pub(crate) struct PullProgress(Progress);

impl PullProgress {
    /// Starts before anything is known.
    pub(crate) fn start(form: Form) -> Self {
        Self(Progress::start("pull", Some(0), form))
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.0.finish();
    }
}

impl fetch::Progress for PullProgress {
    fn planned(&self, bytes: u64) {
        self.0.more(bytes);
    }

    fn came(&self, bytes: u64) {
        self.0.read(bytes);
    }
}
