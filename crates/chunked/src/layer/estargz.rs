//! Opens eStargz and its predecessor: gzip, with the TOC as the last member of the tar.

use std::io::{self, Read};

use flate2::bufread::MultiGzDecoder;

use super::document::{TOC, Visitor, parse_toc, parse_verified_toc};
use super::{ChunkedLayer, Stop};
use crate::annotations::Annotations;
use crate::dialect::Dialect;
use crate::digest::{Hasher, TocDigest};
use crate::entry::EntryKind;
use crate::error::Error;
use crate::footer::Kind;
use crate::limits::Limits;
use crate::location::{Located, Location};
use crate::range::BlobRange;
use crate::source::RangeSource;
use crate::tar::{self, BLOCK_LEN, Step};
use crate::toc::{Invalid, TOC_NAME, Toc, Trailer};

pub(super) fn open(
    source: &dyn RangeSource,
    kind: Kind,
    range: BlobRange,
    annotations: Option<Annotations>,
    limits: &Limits,
    visitor: Visitor<'_>,
) -> Result<ChunkedLayer, Stop> {
    TOC.limited(range.len(), limits.toc_blob_len)?;
    let (blob, _) = TOC.read(source, range, None)?;
    let mut tar = MultiGzDecoder::new(blob.as_slice());
    let len = toc_len(&mut tar, limits)?;
    TOC.limited(len, limits.toc_len)?;
    let json_digest = match annotations {
        Some(Annotations::Estargz { json_digest }) => Some(json_digest),
        _ => None,
    };
    let (trailer, toc_digest) = parse(tar.take(len), len, range.start(), json_digest, limits, visitor)?;
    Ok(ChunkedLayer {
        dialect: if kind == Kind::LegacyStargz { Dialect::LegacyStargz } else { Dialect::Estargz },
        blob_len: source.blob_len(),
        location: Location { toc: Located { range, len }, tar_split: None },
        payload_len: range.start(),
        footer: Some(kind),
        toc: Toc { entries: Vec::new(), trailer },
        toc_blob: blob,
        toc_digest,
        annotations,
        tar_split: None,
    })
}

/// Reads up to the first byte of the TOC; returns its length.
fn toc_len(tar: &mut impl Read, limits: &Limits) -> Result<u64, Error> {
    let mut header = Vec::new();
    let mut wanted = BLOCK_LEN;
    while header.len() < wanted {
        let missing = wanted.saturating_sub(header.len()) as u64;
        let read = tar.by_ref().take(missing).read_to_end(&mut header);
        if read.map_err(|error| TOC.failed(error))? as u64 != missing {
            return Err(TOC.failed(io::ErrorKind::UnexpectedEof.into()));
        }
        match tar::parse(&header, limits) {
            Ok(Step::NeedMore(len)) => wanted = len,
            Ok(Step::Member { member, .. })
                if member.name == TOC_NAME.as_bytes() && member.kind() == Some(EntryKind::Regular) =>
            {
                return Ok(member.size);
            }
            Ok(Step::Member { .. } | Step::End) | Err(_) => break,
        }
    }
    Err(Invalid::NoMember.into())
}

fn parse(
    json: impl Read,
    len: u64,
    payload_len: u64,
    expected: Option<TocDigest>,
    limits: &Limits,
    visitor: Visitor<'_>,
) -> Result<(Trailer, TocDigest), Error> {
    match expected {
        Some(digest) => Ok((parse_verified_toc(json, digest, len, payload_len, limits, visitor)?, digest)),
        None => {
            let mut json = Hashing { inner: json, hasher: Hasher::new() };
            let trailer = parse_toc(&mut json, len, payload_len, limits, visitor)?;
            Ok((trailer, TocDigest(json.hasher.finish())))
        }
    }
}

/// Hashes what is read.
#[derive(Debug)]
struct Hashing<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}
