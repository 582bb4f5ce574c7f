use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::error::shorten;

/// What people call a seed: its kind, unless it is a directory of the host, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeedName {
    kind: &'static str,
    path: Arc<Path>,
}

impl SeedName {
    /// Names a seed of a kind, such as `ostree`, at a path.
    pub fn new(kind: &'static str, path: impl Into<PathBuf>) -> Self {
        Self { kind, path: path.into().into() }
    }

    /// Returns the kind.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Returns what [`open`](super::open) takes; `None` when the path is not UTF-8.
    pub fn text(&self) -> Option<String> {
        Some(format!("{}:{}", self.kind, self.path.to_str()?))
    }

    /// Returns where the seed is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for SeedName {
    /// Writes `kind:path`, shortened and without control characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, shorten(&self.path.to_string_lossy()))
    }
}

impl Serialize for SeedName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
