//! Being told how far a conversion is.

use chunked::convert::Progress as ReadProgress;

use super::report::LayerReport;
use crate::descriptor::Descriptor;

/// Is told how far the conversion of an image is. Layers come one after another.
pub trait Progress: Sync {
    /// The work is known: so many layers with so many bytes, as they are compressed in the source.
    fn planned(&self, layers: usize, blob_len: u64);

    /// Work on a layer begins.
    fn layer_started(&self, layer: &Descriptor);

    /// `blob_len` more bytes of the layer that was started last have been read.
    fn layer_advanced(&self, blob_len: u64);

    /// Work on the layer that was started last is done.
    fn layer_finished(&self, report: &LayerReport);
}

/// Ignores progress.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn planned(&self, _: usize, _: u64) {}

    fn layer_started(&self, _: &Descriptor) {}

    fn layer_advanced(&self, _: u64) {}

    fn layer_finished(&self, _: &LayerReport) {}
}

/// Passes on what the converter of one layer says.
pub(super) struct OfLayer<'a>(pub(super) &'a dyn Progress);

impl ReadProgress for OfLayer<'_> {
    fn read(&self, blob_len: u64) {
        self.0.layer_advanced(blob_len);
    }
}
