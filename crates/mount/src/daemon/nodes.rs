//! Which tables there are, in the order of their numbers: for who takes the directory of contents over.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use chunked::TocDigest;

use crate::error::{Error, at_path};

/// The file `run/nodes`.
#[derive(Debug)]
pub(super) struct Nodes(PathBuf);

impl Nodes {
    pub(super) fn of(run: &Path) -> Self {
        Self(run.join("nodes"))
    }

    /// Starts anew, with a directory that nobody knows yet.
    pub(super) fn clear(&self) -> Result<(), Error> {
        fs::write(&self.0, b"").map_err(at_path("write", &self.0))
    }

    pub(super) fn list(&self) -> Result<Vec<TocDigest>, Error> {
        let text = match fs::read_to_string(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            text => text.map_err(at_path("read", &self.0))?,
        };
        let digest = |line: &str| line.parse().map(TocDigest);
        let damaged = |_| at_path("read", &self.0)(io::Error::from(io::ErrorKind::InvalidData));
        text.lines().map(digest).collect::<Result<_, _>>().map_err(damaged)
    }

    /// Adds a table, before the kernel can hear of it.
    pub(super) fn add(&self, toc_digest: &TocDigest) -> Result<(), Error> {
        let failed = || at_path("write", &self.0);
        let mut file = File::options().append(true).create(true).open(&self.0).map_err(failed())?;
        file.write_all(format!("{toc_digest}\n").as_bytes()).map_err(failed())
    }
}
