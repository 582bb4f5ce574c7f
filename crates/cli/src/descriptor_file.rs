//! What is known of a layer beforehand: its descriptor, and the diff ID in the image's config.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use chunked::DiffId;
use chunked::annotations::{self, Annotations};
use registry::Descriptor;
use serde::{Deserialize, Serialize};

/// Longest descriptor that is read, in bytes: some 100 times what one takes. A longer one does not parse.
const LEN_MAX: u64 = 64 << 10;

/// A layer's descriptor, and the digest of its tar.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Known {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) descriptor: Option<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) diff_id: Option<DiffId>,
}

impl Known {
    /// Reads what `morsel convert` wrote, or a bare descriptor.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        read(path).with_context(|| format!("cannot read the descriptor `{}`", path.display()))
    }

    /// Reads what the descriptor says about the TOC.
    pub(crate) fn annotations(&self) -> Result<Option<Annotations>, annotations::Invalid> {
        Annotations::parse(|key| self.annotation(key))
    }

    /// Returns one annotation of the descriptor.
    pub(crate) fn annotation(&self, key: &str) -> Option<&str> {
        self.descriptor.as_ref()?.annotations.get(key).map(String::as_str)
    }
}

/// The file does not hold a descriptor.
#[derive(Debug, thiserror::Error)]
#[error("it is neither what `morsel convert` prints nor an OCI descriptor")]
pub(crate) struct NotADescriptor;

fn read(path: &Path) -> anyhow::Result<Known> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LEN_MAX).read_to_end(&mut bytes)?;
    let known = serde_json::from_slice(&bytes).ok().filter(|known: &Known| known.descriptor.is_some());
    let bare = || Some(Known { descriptor: Some(serde_json::from_slice(&bytes).ok()?), diff_id: None });
    Ok(known.or_else(bare).ok_or(NotADescriptor)?)
}
