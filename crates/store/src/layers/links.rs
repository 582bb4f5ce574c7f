//! Files that lead to layers: by the digest of a blob, and by that of a tar.
//!
//! What leads to a layer that is not there leads nowhere, so that it does not matter in which order they are written.

use std::collections::BTreeSet;
use std::io::Write;

use chunked::{BlobDigest, DiffId, Digest, TocDigest};

use super::digest_named;
use super::record::{LayerRecord, LayerState};
use crate::directory::Directory;
use crate::error::{Error, at_path};
use crate::staged::Staged;

/// Longest such file in bytes: a SHA-512 digest and a newline.
const LEN_MAX: u64 = 136;

/// The directories `by-blob` and `by-diff-id`.
#[derive(Debug)]
pub(super) struct Links {
    by_blob: Directory,
    by_diff_id: Directory,
    temporary: Directory,
}

impl Links {
    pub(super) fn open(layers: &Directory, temporary: Directory) -> Result<Self, Error> {
        let by_blob = layers.subdirectory("by-blob")?;
        let by_diff_id = layers.subdirectory("by-diff-id")?;
        Ok(Self { by_blob, by_diff_id, temporary })
    }

    pub(super) fn of_blob(&self, blob: &BlobDigest) -> Result<Option<TocDigest>, Error> {
        read(&self.by_blob, &blob.0)
    }

    pub(super) fn of_diff_id(&self, diff_id: &DiffId) -> Result<Option<TocDigest>, Error> {
        read(&self.by_diff_id, &diff_id.0)
    }

    /// Makes a layer be found. By its diff ID only once that is proven: otherwise whoever claims one would hide another.
    pub(super) fn set(&self, record: &LayerRecord) -> Result<(), Error> {
        self.write(&self.by_blob, &record.blob.0, &record.toc_digest)?;
        match record.diff_id {
            Some(diff_id) if record.state == LayerState::Proven => {
                self.write(&self.by_diff_id, &diff_id.0, &record.toc_digest)
            }
            _ => Ok(()),
        }
    }

    fn write(&self, directory: &Directory, digest: &Digest, target: &TocDigest) -> Result<(), Error> {
        if read(directory, digest)? == Some(*target) {
            return Ok(());
        }
        let name = digest.hex();
        let failed = || at_path("write", directory.path_of(&name));
        let mut staged = Staged::new(directory, &self.temporary, 0o644).map_err(failed())?;
        staged.write_all(format!("{target}\n").as_bytes()).map_err(failed())?;
        staged.replace(directory, &name).map_err(failed())
    }

    /// Lists those that lead to other layers than these, or nowhere.
    pub(super) fn stray(&self, kept: &BTreeSet<TocDigest>) -> Result<Vec<(Directory, String)>, Error> {
        let mut stray = Vec::new();
        for directory in [&self.by_blob, &self.by_diff_id] {
            for name in directory.names()? {
                let target = match digest_named(&name) {
                    Some(digest) => read(directory, &digest)?,
                    None => None,
                };
                if target.is_none_or(|target| !kept.contains(&target)) {
                    stray.push((directory.clone(), name));
                }
            }
        }
        Ok(stray)
    }
}

/// Reads where a file leads; what it says may be anything, and then it leads nowhere.
fn read(directory: &Directory, digest: &Digest) -> Result<Option<TocDigest>, Error> {
    let bytes = match directory.read(&digest.hex(), LEN_MAX) {
        Ok(Some(bytes)) => bytes,
        Ok(None) | Err(Error::TooLong { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(String::from_utf8(bytes).ok().and_then(|text| text.trim_end().parse().ok()))
}
