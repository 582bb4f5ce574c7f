//! Takes an ordinary layer apart while it streams: contents into a store, and a TOC as if it had been zstd:chunked.
//!
//! The rows are those that [`convert`](mod@crate::convert) would write, with the same chunks and digests, so that content
//! is found again in chunked and in plain layers alike. Only the places in the blob are missing, as a compressed stream
//! has none: read the TOC with [`Toc::parse_unplaced`](crate::toc::Toc::parse_unplaced).
//!
//! What `convert` refuses a TOC is still to be unpacked. Such a layer is *irregular*: its rows say what unpackers make of
//! the members, and must be applied one after another in the order of the TOC, which is that of the tar. A row may then
//! repeat a path, undo an earlier row, or lie below a symbolic link of the same layer. The tar cannot be rebuilt from it.

use std::io::Read;
use std::num::NonZeroUsize;
use std::thread;

pub use crate::pipeline::{ContentSink, Misplaced, PlainReason, StagedContent};

use crate::digest::{DiffId, TarSplitDigest, TocDigest};
use crate::error::Error;
use crate::input::Compression;
use crate::limits::Limits;
use crate::pipeline::{self, Batches, Documents, Finished, Listed, Listing, Purpose, Setup};

/// How to index. Only `limits` changes the result, for extraordinary layers.
#[derive(Debug, Clone)]
pub struct Options {
    /// Threads that hash and store; reading and the digest of the tar have threads of their own.
    pub jobs: NonZeroUsize,
    /// Bytes of tar held between the stages, at least 24 MiB. The compressed TOC and tar-split come on top.
    pub memory: usize,
    /// Bounds on what the tar may ask for.
    pub limits: Limits,
}

impl Default for Options {
    /// As many jobs as there are processors, 32 MiB.
    fn default() -> Self {
        Self {
            jobs: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            memory: 32 << 20,
            limits: Limits::default(),
        }
    }
}

/// A layer, indexed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The TOC, compressed with zstd. Its rows have no offsets.
    pub toc: Vec<u8>,
    /// The digest of `toc`.
    pub toc_digest: TocDigest,
    /// Bytes of the TOC's JSON.
    pub toc_len: u64,
    /// What rebuilds the tar from the contents, or why nothing does.
    pub tar_split: Result<TarSplit, PlainReason>,
    /// The digest of the tar.
    pub diff_id: DiffId,
    /// The length of the tar.
    pub tar_len: u64,
    /// How the layer was compressed.
    pub compression: Compression,
}

/// A tar-split, compressed with zstd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarSplit {
    /// The compressed stream.
    pub blob: Vec<u8>,
    /// Its digest, which the TOC holds too.
    pub digest: TarSplitDigest,
    /// Bytes of the stream when decompressed.
    pub len: u64,
}

impl Index {
    /// Returns why the rows must be applied in order and the tar cannot be rebuilt; `None` for an ordinary layer.
    pub fn irregular(&self) -> Option<&PlainReason> {
        self.tar_split.as_ref().err()
    }
}

/// Reads the layer that `input` yields, plain or compressed with gzip or zstd, to its end, and hands its contents to
/// `sink`.
///
/// The caller proves the result: by the digest of what was read, or by the diff ID.
///
/// # Errors
/// [`Error::Read`] when `input` fails or is damaged, [`Error::Write`] when `sink` fails, [`Error::Unindexable`] when the
/// tar is damaged or holds what cannot be unpacked. Contents handed over by then are what their digests say.
pub fn index(input: impl Read + Send, sink: &dyn ContentSink, options: &Options) -> Result<Index, Error> {
    let setup = Setup {
        purpose: Purpose::Store(sink),
        jobs: options.jobs,
        memory: options.memory,
        limits: &options.limits,
    };
    let assemble = |batches| list(batches, &options.limits);
    let Finished { compression, diff_id, tar_len, product } = pipeline::run(input, |_| (), &setup, assemble)?;
    let Documents { toc, tar_split } = product.documents;
    let (toc, toc_digest) = toc.map_err(Error::Unindexable)?;
    let tar_split = tar_split.map(|(split, digest)| TarSplit { blob: split.blob, digest, len: split.len });
    Ok(Index { toc: toc.blob, toc_digest, toc_len: toc.len, tar_split, diff_id, tar_len, compression })
}

/// Lists the batches as they come, in order. `None` when they end too early, because another stage failed.
fn list(batches: Batches, limits: &Limits) -> Result<Option<Listed>, Error> {
    let mut listing = Listing::new(limits)?;
    for batch in batches {
        if listing.batch(0, batch)? {
            return listing.finish().map(Some);
        }
    }
    Ok(None)
}
