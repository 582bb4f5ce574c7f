//! An image that is served, and how it is.

use std::sync::Arc;

use chunked::TocDigest;
use store::LayerState;

use super::attachments::Attachment;
use super::protocol::{ImageStatus, LayerStatus};
use crate::error::Error;
use crate::fetch::{Failure, Fetcher, Layer, Progress, Verdict};

/// An image that is served.
#[derive(Debug, Clone)]
pub(super) struct Served {
    pub(super) attachment: Attachment,
    pub(super) layers: Vec<ServedLayer>,
}

/// A layer of it.
#[derive(Debug, Clone)]
pub(super) enum ServedLayer {
    /// It was complete when the image was attached.
    Complete(TocDigest, LayerState),
    /// Its content is fetched when it is read.
    Lazy(Arc<Layer>),
}

impl ServedLayer {
    fn status(&self) -> LayerStatus {
        match self {
            Self::Lazy(layer) => LayerStatus {
                toc_digest: layer.record().toc_digest,
                verdict: layer.verdict(),
                failure: layer.failure(),
            },
            Self::Complete(toc_digest, state) => {
                LayerStatus { toc_digest: *toc_digest, verdict: Verdict::Done(*state), failure: None }
            }
        }
    }
}

impl Served {
    /// Lists the layers whose content is fetched.
    pub(super) fn lazy(&self) -> impl Iterator<Item = &Arc<Layer>> {
        self.layers.iter().filter_map(|layer| match layer {
            ServedLayer::Lazy(layer) => Some(layer),
            ServedLayer::Complete(..) => None,
        })
    }

    /// Says how it is, but for how much is here.
    pub(super) fn status(&self) -> ImageStatus {
        ImageStatus {
            name: self.attachment.name.clone(),
            manifest: self.attachment.manifest,
            progress: Progress::default(),
            layers: self.layers.iter().map(ServedLayer::status).collect(),
        }
    }

    /// Says how it is, and how much is here.
    pub(super) fn full_status(&self, fetcher: &Fetcher<'_>) -> Result<ImageStatus, Error> {
        let mut status = self.status();
        for layer in self.lazy() {
            status.progress.add(&fetcher.progress(layer).map_err(failed)?);
        }
        Ok(status)
    }
}

fn failed(failure: Failure) -> Error {
    Error::Daemon { why: failure.to_string() }
}
