use std::io::BufReader;

use super::documents::{Part, TocFound, TocSource, part};
use super::pass::words;
use super::place::{Found, Place, TocPlace};
use super::split::Split;
use crate::annotations::Annotations;
use crate::dialect::Dialect;
use crate::digest::{Digest, TarSplitDigest};
use crate::error::{Class, Error};
use crate::limits::Limits;
use crate::location::Located;
use crate::source::RangeSource;
use crate::tar_split::Reader;
use crate::zstd_read::ZstdReader;

/// The metadata of a layer, as far as it can be read.
#[derive(Debug)]
pub(super) enum Metadata<'a, S: ?Sized> {
    /// All of it.
    Read(Box<Toc<'a, S>>),
    /// The layer has none that this program handles; why.
    None(String),
    /// It cannot be found or read; why.
    Broken(String),
}

/// A TOC that was read once.
#[derive(Debug)]
pub(super) struct Toc<'a, S: ?Sized> {
    pub(super) source: TocSource<'a, S>,
    pub(super) place: Place,
    pub(super) found: TocFound,
    pub(super) dialect: Dialect,
    /// The digest of the compressed tar-split, where there is one.
    pub(super) tar_split_digest: Option<Digest>,
}

/// A tar-split, decompressed.
pub(super) type SplitStream<'a> = BufReader<ZstdReader<Part<'a>>>;

impl<'a, S: RangeSource + ?Sized> Metadata<'a, S> {
    /// Finds and reads the metadata.
    ///
    /// # Errors
    /// Those of `blob` as a source.
    pub(super) fn read(
        blob: &'a S,
        annotations: Option<&Annotations>,
        limits: &'a Limits,
    ) -> Result<Self, Error> {
        let place = match Found::find(blob, annotations)? {
            Found::Toc(place) => *place,
            Found::None(why) => return Ok(Self::None(why.into())),
            Found::Broken(why) => return Ok(Self::Broken(why)),
        };
        if let Err(why) = place.limited(limits) {
            return Ok(Self::None(why));
        }
        let source = TocSource { blob, place: place.toc, limits };
        let like = place.toc_digest.map_or(Digest::of(b""), |digest| digest.0);
        let found = match source.check(&like) {
            Ok(found) => found,
            Err(error) if error.class() == Class::Unsupported => return Ok(Self::None(error.to_string())),
            Err(error) => return words(error).map(Self::Broken),
        };
        if let TocPlace::Zstd(Located { len, .. }) = place.toc
            && len != found.trailer.len
        {
            return Ok(Self::Broken(format!("the TOC is {} bytes long, expected {len}", found.trailer.len)));
        }
        let mut toc =
            Toc { source, dialect: place.dialect(&found.trailer), place, found, tar_split_digest: None };
        toc.tar_split_digest = toc.hash_tar_split()?;
        Ok(Self::Read(Box::new(toc)))
    }
}

impl<'a, S: RangeSource + ?Sized> Toc<'a, S> {
    /// Returns the digest that the TOC, or else an annotation, has of the tar-split.
    pub(super) fn expected_tar_split(&self) -> Option<TarSplitDigest> {
        self.found.trailer.tar_split.or(self.place.tar_split_digest)
    }

    /// Opens the tar-split, where there is one, at its start.
    pub(super) fn open_tar_split(&self) -> Result<Option<Split<SplitStream<'a>>>, Error> {
        let read = |source| Error::Read { what: "the tar-split", source };
        let Some(Located { range, len }) = self.place.tar_split else { return Ok(None) };
        let blob = part(self.source.blob, range, &Digest::of(b"")).map_err(read)?;
        let decoder = ZstdReader::new(blob).map_err(read)?;
        let stream = BufReader::with_capacity(64 << 10, decoder);
        Ok(Some(Split::new(Reader::new(stream, self.source.limits), len)))
    }

    fn hash_tar_split(&self) -> Result<Option<Digest>, Error> {
        let read = |source| Error::Read { what: "the tar-split", source };
        let Some(Located { range, .. }) = self.place.tar_split else { return Ok(None) };
        let like = self.expected_tar_split().map_or(Digest::of(b""), |digest| digest.0);
        let hashed = part(self.source.blob, range, &like).and_then(Part::finish);
        hashed.map(|(digest, _)| Some(digest)).map_err(read)
    }
}
