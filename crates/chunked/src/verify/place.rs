use std::io::Read;

use crate::annotations::Annotations;
use crate::dialect::Dialect;
use crate::digest::{TarSplitDigest, TocDigest};
use crate::error::Error;
use crate::footer::{self, Footer, Kind};
use crate::layer;
use crate::limits::Limits;
use crate::location::{Located, Location};
use crate::range::BlobRange;
use crate::source::RangeSource;
use crate::toc::Trailer;

/// What was found where metadata of a layer could be.
#[derive(Debug)]
pub(super) enum Found {
    /// The layer has a TOC.
    Toc(Box<Place>),
    /// It has none; why.
    None(&'static str),
    /// It should have one, which cannot be found; why.
    Broken(String),
}

/// Where the metadata of a layer is, and what vouches for it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) toc: TocPlace,
    pub(super) tar_split: Option<Located>,
    pub(super) toc_digest: Option<TocDigest>,
    /// The digest of the TOC's JSON, which stargz-snapshotter vouches for.
    pub(super) json_digest: Option<TocDigest>,
    /// The digest of the tar-split in the annotations, for want of one in the TOC.
    pub(super) tar_split_digest: Option<TarSplitDigest>,
    footer: Option<Kind>,
}

/// Where a TOC is.
#[derive(Debug, Clone, Copy)]
pub(super) enum TocPlace {
    /// In a skippable frame.
    Zstd(Located),
    /// In a member of the tar, alone in the gzip members of that range.
    Gzip(BlobRange),
}

impl Found {
    /// Looks for metadata where the annotations say, if there are any, and otherwise where the footer says.
    pub(super) fn find<S: RangeSource + ?Sized>(
        blob: &S,
        annotations: Option<&Annotations>,
    ) -> Result<Self, Error> {
        let read = |source| Error::Read { what: "the footer", source };
        let len = blob.blob_len();
        let start = len.saturating_sub(footer::MAX_LEN as u64);
        let range = BlobRange::saturating(start, len.saturating_sub(start));
        let mut tail = Vec::new();
        blob.read_range(range).and_then(|mut reader| reader.read_to_end(&mut tail)).map_err(read)?;
        Ok(match footer::parse(&tail, len) {
            Err(invalid) => Self::Broken(invalid.to_string()),
            Ok(footer) => Self::of(annotations, footer, len),
        })
    }

    fn of(annotations: Option<&Annotations>, footer: Option<Footer>, blob_len: u64) -> Self {
        match (annotations, footer) {
            (Some(Annotations::ZstdChunked { location, .. }), _) if location.check(blob_len).is_err() => {
                Self::Broken("the annotations place the metadata beyond the end of the blob".into())
            }
            (Some(Annotations::ZstdChunked { location, .. }), Some(Footer::Zstd { location: other, .. }))
                if !agree(location, &other) =>
            {
                Self::Broken("annotations and footer place the metadata differently".into())
            }
            (
                Some(Annotations::ZstdChunked {
                    toc_digest, location, tar_split_digest, json_digest, ..
                }),
                footer,
            ) => {
                let mut place = Place::zstd(location, footer.and_then(zstd_kind), *json_digest);
                (place.toc_digest, place.tar_split_digest) = (Some(*toc_digest), *tar_split_digest);
                Self::Toc(Box::new(place))
            }
            (Some(Annotations::Estargz { json_digest }), Some(footer)) => {
                Self::by_footer(footer, Some(*json_digest))
            }
            (Some(Annotations::Estargz { .. }), None) => {
                Self::Broken("the annotations announce a TOC, but the blob has no footer".into())
            }
            (None, Some(footer)) => Self::by_footer(footer, None),
            (None, None) => Self::None("the layer has no TOC"),
        }
    }

    fn by_footer(footer: Footer, json_digest: Option<TocDigest>) -> Self {
        match footer {
            Footer::Zstd { kind, location } => {
                Self::Toc(Box::new(Place::zstd(&location, Some(kind), json_digest)))
            }
            Footer::Gzip { kind, toc } => Self::Toc(Box::new(Place::gzip(toc, kind, json_digest))),
            Footer::ExternalToc => Self::None("the TOC is in another image"),
        }
    }
}

fn zstd_kind(footer: Footer) -> Option<Kind> {
    match footer {
        Footer::Zstd { kind, .. } => Some(kind),
        Footer::Gzip { .. } | Footer::ExternalToc => None,
    }
}

/// Tells whether two sources give the same place, as far as both give one: a footer of 56 bytes knows no tar-split.
fn agree(a: &Location, b: &Location) -> bool {
    a.toc == b.toc && a.tar_split.zip(b.tar_split).is_none_or(|(a, b)| a == b)
}

impl Place {
    fn zstd(location: &Location, footer: Option<Kind>, json_digest: Option<TocDigest>) -> Self {
        let Location { toc, tar_split } = *location;
        let toc = TocPlace::Zstd(toc);
        Self { toc, tar_split, toc_digest: None, json_digest, tar_split_digest: None, footer }
    }

    fn gzip(toc: BlobRange, footer: Kind, json_digest: Option<TocDigest>) -> Self {
        let (toc, footer) = (TocPlace::Gzip(toc), Some(footer));
        Self { toc, tar_split: None, toc_digest: None, json_digest, tar_split_digest: None, footer }
    }

    /// Names the dialect, which shows in the TOC where footers and annotations leave it open.
    pub(super) fn dialect(&self, trailer: &Trailer) -> Dialect {
        match self.toc {
            TocPlace::Gzip(_) if self.footer == Some(Kind::LegacyStargz) => Dialect::LegacyStargz,
            TocPlace::Gzip(_) => Dialect::Estargz,
            TocPlace::Zstd(toc) => {
                let location = Location { toc, tar_split: self.tar_split };
                layer::dialect(&location, trailer, self.json_digest.is_some(), self.footer)
            }
        }
    }

    /// Checks claimed lengths; says which is too large.
    pub(super) fn limited(&self, limits: &Limits) -> Result<(), String> {
        let toc = match self.toc {
            TocPlace::Zstd(toc) => {
                [("TOC", toc.range.len(), limits.toc_blob_len), ("TOC", toc.len, limits.toc_len)]
            }
            TocPlace::Gzip(range) => [("TOC", range.len(), limits.toc_blob_len), ("TOC", 0, 0)],
        };
        let tar_split = self.tar_split.map(|Located { range, len }| {
            [("tar-split", range.len(), limits.tar_split_blob_len), ("tar-split", len, limits.tar_split_len)]
        });
        let mut claims = toc.into_iter().chain(tar_split.into_iter().flatten());
        match claims.find(|(_, found, limit)| found > limit) {
            Some((what, found, limit)) => {
                Err(format!("the {what} takes {found} bytes, the limit is {limit}"))
            }
            None => Ok(()),
        }
    }
}

impl TocPlace {
    /// Returns the length of the part of the blob that holds the files.
    pub(super) fn payload_len(&self) -> u64 {
        match *self {
            Self::Zstd(toc) => Location { toc, tar_split: None }.payload_len(),
            Self::Gzip(range) => range.start(),
        }
    }
}
