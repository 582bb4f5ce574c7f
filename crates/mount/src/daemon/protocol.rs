//! What verbs and the daemon say to each other: one JSON document a line, a question and then its answer.
//!
//! A line that begins with `GET ` is HTTP instead: `/metrics` for Prometheus, `/healthz`.

use std::path::PathBuf;

use chunked::{BlobDigest, ContentDigest, TocDigest};
use serde::{Deserialize, Serialize};

use super::Attachment;
use crate::fetch::{Counts, Progress, Verdict};

/// Longest line in bytes: an attachment of some thousand layers fits.
pub const LINE_LEN_MAX: u64 = 1 << 20;

/// What a verb wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
#[non_exhaustive]
pub enum Question {
    /// To have an image served. One that is served already stays so.
    Attach(Attachment),
    /// To have an image served no longer. Its names stay as long as the directory is mounted.
    Detach {
        /// The digest of its manifest.
        manifest: BlobDigest,
    },
    /// To know how everything is.
    Status,
    /// To have all of an image brought in, and to be told when it is.
    Wait {
        /// The digest of its manifest.
        manifest: BlobDigest,
    },
    /// To know why requests for an image fail.
    Failures {
        /// The digest of its manifest.
        manifest: BlobDigest,
    },
    /// To have the daemon end, and the next one go on, which waits for whoever has the store for itself. Readers wait that
    /// long.
    GiveWay,
    /// To have the daemon end.
    Stop,
    /// To have the daemon end if it serves nothing.
    StopIfIdle,
}

impl Question {
    /// Reads a line.
    ///
    /// # Errors
    /// What is wrong with it, when it is not understood.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(line).map_err(|error| crate::error::shorten(&error.to_string()))
    }

    /// Writes it as a line.
    pub fn to_line(&self) -> Vec<u8> {
        // Everything in it can be written as JSON.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

/// What the daemon answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
#[non_exhaustive]
pub enum Answer {
    /// The image is served.
    Attached {
        /// The directory of contents.
        objects: PathBuf,
    },
    /// It is done.
    Done,
    /// Something is served.
    Busy,
    /// How everything is.
    Status(Box<Status>),
    /// Why the last requests for layers of an image failed, as far as they did. They are tried again.
    Failures {
        /// The reasons, in the order of the layers.
        failures: Vec<String>,
    },
    /// The image cannot be served: it says of a content something else than another one that is, and who is right is only known
    /// when all of the content is here.
    Disputed {
        /// Which content.
        content: ContentDigest,
    },
    /// Nothing: the daemon ends. The next one can be asked, if there is one.
    Ends,
    /// It is not possible.
    Failed {
        /// Why.
        why: String,
    },
}

/// How a daemon is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Its process ID.
    pub pid: u32,
    /// The directory of contents.
    pub objects: PathBuf,
    /// What it serves.
    pub images: Vec<ImageStatus>,
    /// What it did since it started.
    pub counts: Counts,
    /// Chunks that are on their way.
    pub pending: usize,
}

/// How an image is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageStatus {
    /// Its name.
    pub name: String,
    /// The digest of its manifest.
    pub manifest: BlobDigest,
    /// How much of it is here. Contents that several layers have count in each.
    #[serde(flatten)]
    pub progress: Progress,
    /// Its layers, the lowest first.
    pub layers: Vec<LayerStatus>,
}

/// How a layer is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerStatus {
    /// The digest of its TOC.
    pub toc_digest: TocDigest,
    /// How far it is.
    pub verdict: Verdict,
    /// Why the last request for it failed, if it did. It is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl ImageStatus {
    /// Tells whether all of it is here and verified.
    pub fn is_done(&self) -> bool {
        self.layers.iter().all(|layer| matches!(layer.verdict, Verdict::Done(_)))
    }

    /// Says what is wrong with a layer of it, if something is.
    pub fn quarantined(&self) -> Option<(&TocDigest, &str)> {
        self.layers.iter().find_map(|layer| match &layer.verdict {
            Verdict::Quarantined(why) => Some((&layer.toc_digest, why.as_str())),
            _ => None,
        })
    }
}
