//! Puts encoded batches in order: writes and hashes the blob, and ends it with TOC, tar-split and footer.

use std::io::{self, Write};

use super::report::Outcome;
use super::{Options, check};
use crate::digest::{BlobDigest, Hasher};
use crate::error::Error;
use crate::footer;
use crate::frame::{Encoder, skippable_header};
use crate::location::{Located, Location};
use crate::pipeline::{Batches, Compressed, Counts, Documents, Listed, Listing, SelfCheck};
use crate::range::BlobRange;

/// The blob, complete.
pub(super) struct Assembled {
    pub(super) outcome: Outcome,
    pub(super) blob_digest: BlobDigest,
    pub(super) blob_len: u64,
    /// Bytes of tar in its frames.
    pub(super) tar_len: u64,
    pub(super) counts: Counts,
}

/// Writes the batches as they come, in order. `None` when they end too early, because another stage failed.
pub(super) fn run(
    batches: Batches,
    output: impl Write,
    options: &Options,
) -> Result<Option<Assembled>, Error> {
    let mut blob = Blob { output, hasher: Hasher::new(), len: 0 };
    let mut listing = Listing::new(&options.limits)?;
    for batch in batches {
        let base = blob.len;
        blob.write(&batch.frames)?;
        if listing.batch(base, batch)? {
            return finish(blob, listing.finish()?, options).map(Some);
        }
    }
    Ok(None)
}

fn finish(mut blob: Blob<impl Write>, listed: Listed, options: &Options) -> Result<Assembled, Error> {
    let Listed { documents, tar_len, mut counts } = listed;
    if blob.len == 0 {
        // Decoders take no frame at all for a truncated one.
        let mut frame = Vec::new();
        let mut encoder = Encoder::new(options.level);
        encoder.frame(&[], &mut frame).map_err(|source| Error::Compress { source })?;
        counts.frames = 1;
        blob.write(&frame)?;
    }
    let payload_len = blob.len;
    let outcome = blob.write_metadata(documents, options)?;
    blob.output.flush().map_err(|source| Error::Write { what: "the blob", source })?;
    counts.metadata_blob_len = blob.len.saturating_sub(payload_len);
    let blob_digest = BlobDigest(blob.hasher.finish());
    Ok(Assembled { outcome, blob_digest, blob_len: blob.len, tar_len, counts })
}

struct Blob<W> {
    output: W,
    hasher: Hasher,
    len: u64,
}

impl<W: Write> Blob<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.hasher.update(bytes);
        self.len = self.len.saturating_add(bytes.len() as u64);
        self.output.write_all(bytes).map_err(|source| Error::Write { what: "the blob", source })
    }

    fn write_metadata(&mut self, documents: Documents, options: &Options) -> Result<Outcome, Error> {
        let ((toc, toc_digest), (tar_split, tar_split_digest)) = match (documents.toc, documents.tar_split) {
            (Ok(toc), Ok(tar_split)) => (toc, tar_split),
            (Err(why), _) | (_, Err(why)) => return Ok(Outcome::Plain { why }),
        };
        if options.self_check == SelfCheck::On {
            check::metadata(&toc, &tar_split, self.len, &options.limits)?;
        }
        let location =
            Location { toc: self.write_skippable(&toc)?, tar_split: Some(self.write_skippable(&tar_split)?) };
        self.write(&footer::encode(&location))?;
        Ok(Outcome::Chunked { toc_digest, tar_split_digest, location })
    }

    fn write_skippable(&mut self, document: &Compressed) -> Result<Located, Error> {
        let too_long = || Error::Compress { source: io::ErrorKind::FileTooLarge.into() };
        self.write(&skippable_header(document.blob.len()).ok_or_else(too_long)?)?;
        let range = BlobRange::with_len(self.len, document.blob.len() as u64).ok_or_else(too_long)?;
        self.write(&document.blob)?;
        Ok(Located { range, len: document.len })
    }
}
