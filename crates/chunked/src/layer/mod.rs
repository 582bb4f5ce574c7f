//! Opens a layer: finds its TOC, checks it, reads it.

mod ahead;
mod document;
mod estargz;
mod zstd;

use std::io::{BufRead, BufReader};

use std::io;

use document::{FOOTER, Visitor};
use serde::{Serialize, Serializer};
pub(crate) use zstd::dialect;

use crate::annotations::{self, Annotations};
use crate::dialect::Dialect;
use crate::digest::{TarSplitDigest, TocDigest};
use crate::entry::Entry;
use crate::error::Error;
use crate::footer::{self, Footer};
use crate::limits::Limits;
use crate::location::Location;
use crate::range::BlobRange;
use crate::source::RangeSource;
use crate::tar_split::Reader;
use crate::toc::{self, Toc};
use crate::zstd_read::ZstdReader;

/// A layer, as far as it can be read in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layer {
    /// The layer has a TOC.
    Chunked(Box<ChunkedLayer>),
    /// The layer can only be read whole.
    Plain {
        /// Why.
        why: PlainReason,
    },
}

/// A layer with a TOC that hashes to what vouches for it, and contradicts neither itself nor the blob's length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkedLayer {
    /// The format.
    pub dialect: Dialect,
    /// Bytes of the whole blob.
    pub blob_len: u64,
    /// Where the metadata is. For eStargz the TOC's range holds its tar header as well.
    pub location: Location,
    /// Bytes of the blob before the metadata: all of the tar but, for eStargz, the TOC.
    pub payload_len: u64,
    /// The footer, if the length of what follows the metadata is that of one.
    pub footer: Option<footer::Kind>,
    /// The TOC; without its entries where those were given to a visitor.
    pub toc: Toc,
    /// The TOC as it is stored, compressed; for eStargz with its tar header.
    pub toc_blob: Vec<u8>,
    /// The digest of the TOC: compressed for zstd:chunked, plain for eStargz.
    pub toc_digest: TocDigest,
    /// What the descriptor says of the TOC; `None` when the footer alone led to it, and nothing vouches for it.
    pub annotations: Option<Annotations>,
    /// The tar-split, where the blob has one.
    pub tar_split: Option<TarSplit>,
}

/// A tar-split as it is in the blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarSplit {
    /// The compressed bytes.
    pub blob: Vec<u8>,
    /// Their digest.
    pub digest: TarSplitDigest,
    /// Bytes of the decompressed stream, as claimed.
    pub len: u64,
    /// Whether the TOC vouches for the digest; before containers/storage 1.54 it did not.
    pub is_verified: bool,
}

/// Says why a layer can only be read whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlainReason {
    /// Nothing tells of a TOC.
    #[error("neither annotations nor a footer tell of a TOC")]
    NoToc,
    /// The annotations cannot be relied on.
    #[error("{0}")]
    Annotations(annotations::Invalid),
    /// The annotations tell of an eStargz TOC that no footer places.
    #[error("the annotations tell of an eStargz TOC, but the blob has no footer")]
    NoFooter,
    /// The blob ends with a footer whose numbers cannot be.
    #[error("{0}")]
    Footer(footer::Invalid),
    /// The TOC is in another image.
    #[error("the TOC is in another image, as eStargz with an external TOC has it")]
    ExternalToc,
    /// The metadata is larger than the limits allow.
    #[error("the {what} takes {found} bytes, the limit is {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Bytes claimed.
        found: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// The TOC vouches for a tar-split that nothing places.
    #[error("the TOC names a tar-split, but nothing says where it is")]
    LostTarSplit,
    /// The TOC is more than this program takes.
    #[error("{0}")]
    Toc(toc::Invalid),
    /// The source cannot be read from where the TOC is.
    #[error("{0}")]
    Source(String),
}

impl Serialize for PlainReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl TarSplit {
    /// Decompresses the stream, from its first record.
    ///
    /// # Errors
    /// [`Error::Read`] when there is no memory for it.
    pub fn records<'a>(&'a self, limits: &Limits) -> Result<Reader<impl BufRead + use<'a>>, Error> {
        let stream = ZstdReader::new(self.blob.as_slice());
        let stream = stream.map_err(|source| Error::Read { what: "the tar-split", source })?;
        let limits = Limits { tar_split_len: limits.tar_split_len.min(self.len), ..*limits };
        Ok(Reader::new(BufReader::with_capacity(64 << 10, stream), &limits))
    }
}

impl ChunkedLayer {
    /// Tells whether the descriptor holds the digest of the TOC; otherwise nothing vouches for it.
    pub fn is_vouched_for(&self) -> bool {
        self.annotations.is_some()
    }
}

impl Layer {
    /// Opens the layer in `source`, whose descriptor has the annotations that `lookup` finds (`|_| None` for a blob
    /// that has no descriptor).
    ///
    /// Annotations come first; without any that tell of a TOC the footer is tried. Memory is bounded by `limits`: the
    /// compressed TOC and tar-split, and the entries.
    ///
    /// # Errors
    /// Only for broken integrity and failing input: metadata beyond the blob, a digest that does not match, a TOC that
    /// is malformed, a source that cannot be read. Whatever else stands in the way is a [`PlainReason`].
    pub fn open<'a>(
        source: &dyn RangeSource,
        lookup: impl Fn(&str) -> Option<&'a str>,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let mut entries = Vec::new();
        let mut layer = Self::visit(source, lookup, limits, |entry| entries.push(entry))?;
        if let Self::Chunked(layer) = &mut layer {
            layer.toc.entries = entries;
        }
        Ok(layer)
    }

    /// Opens a layer as [`Layer::open`] does, but gives the entries of its TOC to `visitor`, in order, and keeps none of
    /// them. They are good only once the layer is open.
    ///
    /// # Errors
    /// Those of [`Layer::open`].
    pub fn visit<'a>(
        source: &dyn RangeSource,
        lookup: impl Fn(&str) -> Option<&'a str>,
        limits: &Limits,
        mut visitor: impl FnMut(Entry),
    ) -> Result<Self, Error> {
        match open(source, Annotations::parse(lookup), limits, &mut visitor) {
            Ok(layer) => Ok(Self::Chunked(Box::new(layer))),
            Err(Stop::Plain(why)) => Ok(Self::Plain { why }),
            Err(Stop::Failed(error)) => Err(error),
        }
    }
}

/// Why opening ended early.
#[derive(Debug)]
enum Stop {
    Plain(PlainReason),
    Failed(Error),
}

impl From<PlainReason> for Stop {
    fn from(why: PlainReason) -> Self {
        Self::Plain(why)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error {
            Error::Toc(invalid) if invalid.is_unsupported() => Self::Plain(PlainReason::Toc(invalid)),
            Error::Read { source, .. } if is_unsupported(&source) => {
                Self::Plain(PlainReason::Source(source.to_string()))
            }
            error => Self::Failed(error),
        }
    }
}

/// Tells whether a source, rather than the operating system, says that it cannot be read so.
fn is_unsupported(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported && error.raw_os_error().is_none()
}

fn open(
    source: &dyn RangeSource,
    annotations: Result<Option<Annotations>, annotations::Invalid>,
    limits: &Limits,
    visitor: Visitor<'_>,
) -> Result<ChunkedLayer, Stop> {
    let annotations = annotations.map_err(PlainReason::Annotations)?;
    if let Some(Annotations::ZstdChunked { location, .. }) = &annotations {
        location.check(source.blob_len()).map_err(Error::Misplaced)?;
        let footer = footer::Kind::of_zstd_len(source.blob_len().saturating_sub(location.end()));
        return zstd::open(source, *location, footer, annotations, limits, visitor);
    }
    let tail_len = source.blob_len().min(footer::MAX_LEN as u64);
    let tail = BlobRange::saturating(source.blob_len().saturating_sub(tail_len), tail_len);
    let (tail, _) = FOOTER.read(source, tail, None)?;
    match footer::parse(&tail, source.blob_len()).map_err(PlainReason::Footer)? {
        Some(Footer::Zstd { kind, location }) => {
            zstd::open(source, location, Some(kind), annotations, limits, visitor)
        }
        Some(Footer::Gzip { kind, toc }) => estargz::open(source, kind, toc, annotations, limits, visitor),
        Some(Footer::ExternalToc) => Err(PlainReason::ExternalToc.into()),
        None if annotations.is_some() => Err(PlainReason::NoFooter.into()),
        None => Err(PlainReason::NoToc.into()),
    }
}

#[cfg(test)]
mod tests;
