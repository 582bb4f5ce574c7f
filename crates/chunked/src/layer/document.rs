use std::io::{self, Read};

use super::PlainReason;
use crate::digest::{Digest, TocDigest};
use crate::entry::Entry;
use crate::error::Error;
use crate::limits::Limits;
use crate::range::BlobRange;
use crate::source::RangeSource;
use crate::toc::{self, Invalid, Trailer};
use crate::verifying::{Mismatch, Verifying};

/// A part of a blob that is read whole, by the words that errors use for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Document {
    /// As in "digest of the ...".
    name: &'static str,
    /// As in "cannot read ...".
    phrase: &'static str,
}

pub(super) const TOC: Document = Document { name: "TOC", phrase: "the TOC" };
pub(super) const TAR_SPLIT: Document = Document { name: "tar-split", phrase: "the tar-split" };
pub(super) const FOOTER: Document = Document { name: "footer", phrase: "the footer" };

impl Document {
    /// Checks a claimed number of bytes.
    pub(super) fn limited(self, found: u64, limit: u64) -> Result<(), PlainReason> {
        if found <= limit { Ok(()) } else { Err(PlainReason::TooLarge { what: self.name, found, limit }) }
    }

    /// Reads `range`, which must hash to `expected` if that is known; returns the digest as well.
    pub(super) fn read(
        self,
        source: &dyn RangeSource,
        range: BlobRange,
        expected: Option<Digest>,
    ) -> Result<(Vec<u8>, Digest), Error> {
        let bytes = read(source, range, expected).map_err(|error| self.failed(error))?;
        let digest = expected.unwrap_or_else(|| Digest::of(&bytes));
        Ok((bytes, digest))
    }

    /// Tells whether reading failed because of a digest, or otherwise.
    pub(super) fn failed(self, source: io::Error) -> Error {
        match source.get_ref().and_then(|inner| inner.downcast_ref::<Mismatch>()) {
            Some(&Mismatch::Digest { expected, found }) => {
                Error::DigestMismatch { what: self.name, expected, found }
            }
            _ => Error::Read { what: self.phrase, source },
        }
    }
}

/// Takes the entries of a TOC, in order.
pub(super) type Visitor<'a> = &'a mut dyn FnMut(Entry);

/// Parses the `len` bytes of JSON that a TOC decompresses to, no more and no less.
pub(super) fn parse_toc(
    json: impl Read,
    len: u64,
    payload_len: u64,
    limits: &Limits,
    visitor: Visitor<'_>,
) -> Result<Trailer, Error> {
    let limits = Limits { toc_len: limits.toc_len.min(len), ..*limits };
    let trailer = toc::visit(json, payload_len, &limits, visitor)?;
    match trailer.len {
        found if found == len => Ok(trailer),
        found => Err(Invalid::Len { expected: len, found }.into()),
    }
}

/// Parses JSON that must hash to `digest`. A wrong digest comes before anything else that is wrong.
pub(super) fn parse_verified_toc(
    json: impl Read,
    digest: TocDigest,
    len: u64,
    payload_len: u64,
    limits: &Limits,
    visitor: Visitor<'_>,
) -> Result<Trailer, Error> {
    let mut json = Verifying::new(json, digest.0, len);
    match parse_toc(&mut json, len, payload_len, limits, visitor) {
        Err(Error::Read { source, .. }) => Err(TOC.failed(source)),
        Err(error) => {
            io::copy(&mut json, &mut io::sink()).map_err(|source| TOC.failed(source))?;
            Err(error)
        }
        parsed => parsed,
    }
}

fn read(source: &dyn RangeSource, range: BlobRange, expected: Option<Digest>) -> io::Result<Vec<u8>> {
    let body = source.read_range(range)?;
    let mut bytes = Vec::new();
    match expected {
        Some(digest) => Verifying::new(body, digest, range.len()).read_to_end(&mut bytes)?,
        None => body.take(range.len()).read_to_end(&mut bytes)?,
    };
    if bytes.len() as u64 == range.len() {
        Ok(bytes)
    } else {
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("the blob ends within its bytes {range}")))
    }
}
