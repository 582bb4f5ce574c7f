//! Where the content of files goes when it is kept as it is.

use std::fmt;
use std::io;

use crate::digest::ContentDigest;
use crate::error::Error;

/// Takes the contents of a layer's files, each with its digest. Called from several threads, in no order of files.
pub trait ContentSink: Sync {
    /// Takes a whole content, at most a MiB, that hashes to `digest`. The same content comes as often as files have it.
    ///
    /// # Errors
    /// Any error ends the reading of the layer.
    fn whole(&self, digest: ContentDigest, bytes: &[u8]) -> io::Result<()>;

    /// Starts a content of `len` bytes that comes piece by piece. Its digest is not known before its end.
    ///
    /// # Errors
    /// Any error ends the reading of the layer.
    fn start(&self, len: u64) -> io::Result<Box<dyn StagedContent + '_>>;
}

/// A content that is being written from its start to its end. Dropped before [`commit`](Self::commit) it is to vanish.
pub trait StagedContent: Send {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// Any error ends the reading of the layer.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Takes the next `len` bytes, which are all zeros and need no room.
    ///
    /// # Errors
    /// Any error ends the reading of the layer.
    fn hole(&mut self, len: u64) -> io::Result<()>;

    /// Ends the content, which hashes to `digest`.
    ///
    /// # Errors
    /// Any error ends the reading of the layer.
    fn commit(self: Box<Self>, digest: ContentDigest) -> io::Result<()>;
}

/// Zeros in a row that are worth a hole: a page, and a block of most file systems.
const HOLE_LEN: usize = 4096;

/// A content on its way into a sink.
pub(super) struct Staged<'s>(Box<dyn StagedContent + 's>);

impl<'s> Staged<'s> {
    pub(super) fn start(sink: &'s dyn ContentSink, len: u64) -> Result<Self, Error> {
        sink.start(len).map(Self).map_err(failed)
    }

    /// Passes on the next bytes, as holes where whole pages are zeros.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let data = run(rest, |page| !is_hole(page));
            let (data, after) = rest.split_at_checked(data).unwrap_or((rest, &[]));
            let (zeros, after) = after.split_at_checked(run(after, is_hole)).unwrap_or((after, &[]));
            rest = after;
            if !data.is_empty() {
                self.0.write(data).map_err(failed)?;
            }
            if !zeros.is_empty() {
                self.hole(zeros.len() as u64)?;
            }
        }
        Ok(())
    }

    pub(super) fn hole(&mut self, len: u64) -> Result<(), Error> {
        self.0.hole(len).map_err(failed)
    }

    pub(super) fn commit(self, digest: ContentDigest) -> Result<(), Error> {
        self.0.commit(digest).map_err(failed)
    }
}

/// Returns how many of the first bytes are pages of which `is` holds.
fn run(bytes: &[u8], is: impl Fn(&[u8]) -> bool) -> usize {
    bytes.chunks(HOLE_LEN).take_while(|page| is(page)).map(<[u8]>::len).sum()
}

fn is_hole(page: &[u8]) -> bool {
    page == [0; HOLE_LEN]
}

pub(super) fn failed(source: io::Error) -> Error {
    Error::Write { what: "the content of a file", source }
}

impl fmt::Debug for Staged<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staged").finish_non_exhaustive()
    }
}
