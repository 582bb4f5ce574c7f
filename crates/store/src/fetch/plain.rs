//! Brings a layer into the store that can only be read whole, and indexes it on the way.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};

use chunked::index::{ContentSink, Index, StagedContent, index};
use chunked::verifying::Verifying;
use chunked::{BlobRange, ContentDigest};

use super::failure::Failure;
use super::{Options, Progress};
use crate::error::Error;
use crate::objects::StagedObject;
use crate::pull::Task;
use crate::store::Store;

/// Reads the blob from its first byte to its last, and puts every content into the store. The digest of the blob and that
/// of the tar are checked before anything is reported.
///
/// # Errors
/// Those of the source and of the store, [`Failure::Layer`] when the blob is no layer, and [`Failure::DiffId`].
pub(crate) fn fetch_plain(
    store: &Store,
    task: &Task<'_>,
    options: &Options,
    stop: &AtomicBool,
    progress: &dyn Progress,
) -> Result<Index, Failure> {
    let source = &*task.source;
    let len = source.blob_len();
    progress.planned(len);
    let body = source.read_range(BlobRange::saturating(0, len)).map_err(|source| Failure::Read { source })?;
    let body = Verifying::new(Metered { body, stop, progress }, task.blob.0, len);
    let options =
        chunked::index::Options { jobs: options.jobs, limits: options.limits, ..Default::default() };
    let index =
        index(body, &Contents(store), &options).map_err(|error| match stop.load(Ordering::Relaxed) {
            true => Failure::Stopped,
            false => Failure::Layer(error),
        })?;
    match task.diff_id {
        Some(expected) if expected != index.diff_id => {
            Err(Failure::DiffId { expected, found: index.diff_id })
        }
        _ => Ok(index),
    }
}

/// The store, as the place where an index puts contents.
#[derive(Debug)]
struct Contents<'a>(&'a Store);

impl ContentSink for Contents<'_> {
    fn whole(&self, digest: ContentDigest, bytes: &[u8]) -> io::Result<()> {
        self.0.objects().put(&digest, bytes).map(drop).map_err(failed)
    }

    fn start(&self, len: u64) -> io::Result<Box<dyn StagedContent + '_>> {
        let object = self.0.objects().stage().map_err(failed)?;
        object.set_len(len)?;
        Ok(Box::new(Staged { object, at: 0 }))
    }
}

struct Staged<'a> {
    object: StagedObject<'a>,
    at: u64,
}

impl StagedContent for Staged<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.object.write_all_at(bytes, self.at)?;
        self.at = self.at.saturating_add(bytes.len() as u64);
        Ok(())
    }

    fn hole(&mut self, len: u64) -> io::Result<()> {
        self.at = self.at.saturating_add(len);
        Ok(())
    }

    fn commit(self: Box<Self>, digest: ContentDigest) -> io::Result<()> {
        self.object.commit(&digest).map(drop).map_err(failed)
    }
}

/// Keeps the kind of what the operating system said.
fn failed(error: Error) -> io::Error {
    match &error {
        Error::File { source, .. } => io::Error::new(source.kind(), error),
        _ => io::Error::other(error),
    }
}

struct Metered<'a, R> {
    body: R,
    stop: &'a AtomicBool,
    progress: &'a dyn Progress,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("stopped because of another failure"));
        }
        let count = self.body.read(buffer)?;
        self.progress.came(count as u64);
        Ok(count)
    }
}
