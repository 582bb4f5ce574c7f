//! Opens zstd:chunked, of containers/storage and of stargz-snapshotter.

use super::ahead::ReadAhead;
use super::document::{TAR_SPLIT, TOC, Visitor, parse_toc, parse_verified_toc};
use super::{ChunkedLayer, PlainReason, Stop, TarSplit};
use crate::annotations::Annotations;
use crate::dialect::Dialect;
use crate::digest::{TarSplitDigest, TocDigest};
use crate::error::Error;
use crate::footer::Kind;
use crate::limits::Limits;
use crate::location::{Located, Location};
use crate::source::RangeSource;
use crate::toc::{Toc, Trailer};
use crate::zstd_read::ZstdReader;

pub(super) fn open(
    source: &dyn RangeSource,
    location: Location,
    footer: Option<Kind>,
    annotations: Option<Annotations>,
    limits: &Limits,
    visitor: Visitor<'_>,
) -> Result<ChunkedLayer, Stop> {
    TOC.limited(location.toc.range.len(), limits.toc_blob_len)?;
    TOC.limited(location.toc.len, limits.toc_len)?;
    let expected = Expected::of(annotations.as_ref());
    let source = &*read_ahead(source, &location, limits)?;
    let (blob, digest) = TOC.read(source, location.toc.range, expected.toc.map(|digest| digest.0))?;
    let trailer = parse(&blob, &location, expected.json, limits, visitor)?;
    let tar_split = tar_split(source, &location, &trailer, expected.tar_split, limits)?;
    Ok(ChunkedLayer {
        dialect: dialect(&location, &trailer, expected.json.is_some(), footer),
        blob_len: source.blob_len(),
        location,
        payload_len: location.payload_len(),
        footer,
        toc: Toc { entries: Vec::new(), trailer },
        toc_blob: blob,
        toc_digest: TocDigest(digest),
        annotations,
        tar_split,
    })
}

/// Reads the tar-split with the TOC: they are neighbors, and a request more would cost a round trip.
fn read_ahead<'a>(
    source: &'a dyn RangeSource,
    location: &Location,
    limits: &Limits,
) -> Result<Box<dyn RangeSource + 'a>, Error> {
    let toc = location.toc.range;
    match location.tar_split.map(|tar_split| tar_split.range) {
        Some(tar_split) if tar_split.len() <= limits.tar_split_blob_len => {
            Ok(Box::new(ReadAhead::of(source, [toc, tar_split]).map_err(|error| TOC.failed(error))?))
        }
        _ => Ok(Box::new(source)),
    }
}

/// The digests that annotations hold.
#[derive(Debug, Default)]
struct Expected {
    toc: Option<TocDigest>,
    json: Option<TocDigest>,
    tar_split: Option<TarSplitDigest>,
}

impl Expected {
    fn of(annotations: Option<&Annotations>) -> Self {
        match annotations {
            Some(&Annotations::ZstdChunked { toc_digest, json_digest, tar_split_digest, .. }) => {
                Self { toc: Some(toc_digest), json: json_digest, tar_split: tar_split_digest }
            }
            Some(&Annotations::Estargz { json_digest }) => {
                Self { json: Some(json_digest), ..Self::default() }
            }
            None => Self::default(),
        }
    }
}

fn parse(
    blob: &[u8],
    location: &Location,
    json_digest: Option<TocDigest>,
    limits: &Limits,
    visitor: Visitor<'_>,
) -> Result<Trailer, Error> {
    let json = ZstdReader::new(blob).map_err(|error| TOC.failed(error))?;
    let (len, payload_len) = (location.toc.len, location.payload_len());
    match json_digest {
        Some(digest) => parse_verified_toc(json, digest, len, payload_len, limits, visitor),
        None => parse_toc(json, len, payload_len, limits, visitor),
    }
}

fn tar_split(
    source: &dyn RangeSource,
    location: &Location,
    trailer: &Trailer,
    annotated: Option<TarSplitDigest>,
    limits: &Limits,
) -> Result<Option<TarSplit>, Stop> {
    let Some(Located { range, len }) = location.tar_split else {
        return if trailer.tar_split.is_some() { Err(PlainReason::LostTarSplit.into()) } else { Ok(None) };
    };
    TAR_SPLIT.limited(range.len(), limits.tar_split_blob_len)?;
    TAR_SPLIT.limited(len, limits.tar_split_len)?;
    let expected = trailer.tar_split.or(annotated);
    let (blob, digest) = TAR_SPLIT.read(source, range, expected.map(|digest| digest.0))?;
    Ok(Some(TarSplit { blob, digest: TarSplitDigest(digest), len, is_verified: trailer.tar_split.is_some() }))
}

/// Tells the writers apart by what only some of them leave behind.
pub(crate) fn dialect(
    location: &Location,
    trailer: &Trailer,
    has_json_digest: bool,
    footer: Option<Kind>,
) -> Dialect {
    if has_json_digest || !trailer.has_end_offsets {
        Dialect::StargzZstd
    } else if trailer.tar_split.is_some() {
        Dialect::Current
    } else if footer == Some(Kind::Zstd56) {
        Dialect::ShortFooter
    } else if location.tar_split.is_some() {
        Dialect::UnverifiedTarSplit
    } else {
        Dialect::WithoutTarSplit
    }
}
