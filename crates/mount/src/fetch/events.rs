//! What whoever runs the fetching should hear of.

use chunked::ContentDigest;
use store::LayerRecord;

use super::Failure;

/// Is told what happens, from several threads.
pub trait Events: Sync {
    /// A read of a content failed.
    fn read_failed(&self, content: &ContentDigest, failure: &Failure);
    /// Something of a layer does not come at the moment, for another reason than the last time. It is tried again.
    fn layer_failed(&self, layer: &LayerRecord, failure: &Failure);
    /// A layer is here, and is what the image says.
    fn proven(&self, layer: &LayerRecord);
    /// A layer is not what the image says.
    fn quarantined(&self, layer: &LayerRecord, why: &str);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoEvents;

impl Events for NoEvents {
    fn read_failed(&self, _content: &ContentDigest, _failure: &Failure) {}
    fn layer_failed(&self, _layer: &LayerRecord, _failure: &Failure) {}
    fn proven(&self, _layer: &LayerRecord) {}
    fn quarantined(&self, _layer: &LayerRecord, _why: &str) {}
}
