//! What the pipeline is run for.

use serde::{Deserialize, Serialize};

use super::sink::ContentSink;
use crate::frame::{Decoder, Encoder, Level};

/// Whether the blob is decoded and compared while it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SelfCheck {
    /// Every frame is decoded again and compared with the tar bytes it was made of; TOC and tar-split are read back and
    /// audited against each other. That frames are written in the order of the tar is checked by their lengths only.
    On,
    /// It is not, and the report says so.
    Off,
}

/// What becomes of the tar.
#[derive(Clone, Copy)]
pub(crate) enum Purpose<'s> {
    /// A blob. Where a TOC cannot say what the tar says, it goes on without TOC.
    Blob { level: Level, self_check: SelfCheck },
    /// Contents in a store and a TOC of them. Where a TOC cannot say all, it says what an unpacker needs.
    Store(&'s dyn ContentSink),
}

impl<'s> Purpose<'s> {
    /// Makes the encoder of frames, where there are to be any.
    pub(super) fn encoder(&self) -> Option<Encoder> {
        match self {
            Self::Blob { level, .. } => Some(Encoder::new(*level)),
            Self::Store(_) => None,
        }
    }

    /// Makes the decoder that checks frames, where they are to be checked.
    pub(super) fn decoder(&self) -> Option<Decoder> {
        match self {
            Self::Blob { self_check: SelfCheck::On, .. } => Some(Decoder::new()),
            Self::Blob { self_check: SelfCheck::Off, .. } | Self::Store(_) => None,
        }
    }

    /// Returns the sink of contents, where there is one.
    pub(super) fn sink(&self) -> Option<&'s dyn ContentSink> {
        match self {
            Self::Blob { .. } => None,
            Self::Store(sink) => Some(*sink),
        }
    }
}
