//! Turns a layer's tar into a zstd:chunked blob, on all cores, with the same bytes every time.
//!
//! The work is done by a pipeline whose last stage, *assemble*, writes what it gets in order, and TOC, tar-split and footer
//! after it. Where cuts lie depends on the tar alone, so neither the number of threads nor the input's compression changes
//! a byte.
//!
//! Every prefix of the blob is plain zstd of a prefix of the tar. A layer that turns out, however late, not to be
//! expressible as a TOC therefore just gets no TOC: see [`PlainReason`].

mod assemble;
mod check;
mod report;

use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::thread;

pub use crate::frame::Level;
pub use crate::pipeline::{Counts, Misplaced, PlainReason, SelfCheck};
pub use report::{Converted, Outcome, Source};

use crate::digest::{BlobDigest, Hasher};
use crate::error::Error;
use crate::limits::Limits;
use crate::pipeline::{self, Finished, Purpose, Setup};
use assemble::Assembled;

/// How to convert. None of these but `level` and, for extraordinary layers, `limits` changes the blob.
#[derive(Debug, Clone)]
pub struct Options {
    /// How hard to compress the frames.
    pub level: Level,
    /// Threads that compress; reading, hashing and writing have threads of their own.
    pub jobs: NonZeroUsize,
    /// Bytes of tar held between the stages, at least 24 MiB. Compressed frames, the compressed TOC and the contexts of
    /// zstd come on top.
    pub memory: usize,
    /// Whether every frame is decoded again and compared, and TOC and tar-split read back and compared.
    pub self_check: SelfCheck,
    /// Bounds on what the tar may ask for.
    pub limits: Limits,
}

impl Default for Options {
    /// Level 3, as many jobs as there are processors, 64 MiB, self-check on.
    fn default() -> Self {
        Self {
            level: Level::default(),
            jobs: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            memory: 64 << 20,
            self_check: SelfCheck::On,
            limits: Limits::default(),
        }
    }
}

/// Is told how far a conversion is.
pub trait Progress: Sync {
    /// `blob_len` more bytes of the input, as it is compressed, have been read.
    fn read(&self, blob_len: u64);
}

/// Ignores progress.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn read(&self, _: u64) {}
}

/// Converts the layer that `input` yields, plain or compressed with gzip or zstd, and writes the blob to `output`.
///
/// # Errors
/// When the input is damaged ([`Class::Corrupt`](crate::Class)), when reading or writing fails, or when the self-check
/// finds that the blob does not say what the tar says. What was written by then is to be thrown away.
pub fn convert(
    input: impl Read + Send,
    output: impl Write,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Converted, Error> {
    let setup = Setup {
        purpose: Purpose::Blob { level: options.level, self_check: options.self_check },
        jobs: options.jobs,
        memory: options.memory,
        limits: &options.limits,
    };
    let (mut hasher, mut source_len) = (Hasher::new(), 0u64);
    let watch = |bytes: &[u8]| {
        hasher.update(bytes);
        source_len = source_len.saturating_add(bytes.len() as u64);
        progress.read(bytes.len() as u64);
    };
    let assemble = |batches| assemble::run(batches, output, options);
    let Finished { compression, diff_id, tar_len, product } = pipeline::run(input, watch, &setup, assemble)?;
    let Assembled { outcome, blob_digest, blob_len, tar_len: framed_len, counts } = product;
    if framed_len != tar_len {
        return Err(Error::SelfCheck { what: "length of the tar", source: None });
    }
    let source = Source { compression, digest: BlobDigest(hasher.finish()), blob_len: source_len };
    let self_check = options.self_check;
    Ok(Converted { outcome, blob_digest, blob_len, diff_id, tar_len, source, counts, self_check })
}
