//! The documents of an image, as far as they are there.

use std::io;
use std::num::NonZeroUsize;

use chunked::annotations::{Annotations as Toc, Prefix};
use chunked::digest::BlobDigest;
use chunked::verifying::Verifying;

use super::{Chunked, Options, Originals};
use crate::descriptor::Descriptor;
use crate::error::Error;
use crate::image::{Config, Document, Exact, Index, Manifest};
use crate::media_type::DocumentKind;
use crate::platform::Platform;
use crate::source::ImageSource;

/// Deepest nesting of indexes; one level is what the field uses.
const DEPTH_MAX: usize = 8;
/// Most descriptors in all indexes together: nested indexes that list each other many times would multiply.
const NODES_MAX: usize = 10_000;

/// What an index lists in one place, or the root of an image.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// The descriptor as it is listed.
    pub(super) listed: Descriptor,
    /// What it points at.
    pub(super) content: Content,
}

/// What a descriptor points at.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// An image.
    Image(Box<Image>),
    /// A manifest that is no image: an attestation, a signature, a chart.
    Artifact(Box<Exact<Manifest>>),
    /// Further images.
    Index(Box<Exact<Index>>, Vec<Node>),
    /// Neither a manifest nor an index.
    Blob,
    /// Nothing that is there.
    Absent,
    /// Something that was not looked at, as nobody asked for its platform.
    NotSelected,
}

/// One image.
#[derive(Debug, Clone)]
pub(super) struct Image {
    /// Its manifest.
    pub(super) manifest: Exact<Manifest>,
    /// Its configuration; read only where the image is to be converted or its platform is not listed.
    pub(super) config: Option<Config>,
    /// What it runs on, by its descriptor or else its configuration.
    pub(super) platform: Option<Platform>,
    /// Whether it is to be converted.
    pub(super) selected: bool,
    /// The layers that are zstd:chunked of the current dialect; none if those are to be converted again.
    pub(super) chunked: Vec<BlobDigest>,
}

/// Reads the documents of the image.
///
/// # Errors
/// When a document is malformed, indexes are nested too deeply, or a configuration is missing.
pub(super) fn load(source: &dyn ImageSource, options: &Options) -> Result<Node, Error> {
    let left = NonZeroUsize::new(NODES_MAX);
    // What the list of a layout says of the image, above all its name, does not go with it.
    let listed = Descriptor { platform: source.root().platform.clone(), ..source.root().bare() };
    let root = Loader { source, options, left }.node(&listed, DEPTH_MAX)?;
    match root.content {
        Content::Absent => Err(no_blob(source, source.root())),
        _ => Ok(root),
    }
}

fn no_blob(source: &dyn ImageSource, descriptor: &Descriptor) -> Error {
    Error::NoBlob { place: Box::new(source.reference().clone()), digest: Box::new(descriptor.digest) }
}

struct Loader<'a> {
    source: &'a dyn ImageSource,
    options: &'a Options,
    left: Option<NonZeroUsize>,
}

impl Loader<'_> {
    fn node(&mut self, listed: &Descriptor, depth: usize) -> Result<Node, Error> {
        let too_many =
            || Error::TooManyDocuments { place: Box::new(self.source.reference().clone()), limit: NODES_MAX };
        self.left = NonZeroUsize::new(self.left.ok_or_else(too_many)?.get() - 1);
        Ok(Node { listed: listed.clone(), content: self.content(listed, depth)? })
    }

    fn content(&mut self, listed: &Descriptor, depth: usize) -> Result<Content, Error> {
        match listed.media_type.document() {
            None => return Ok(Content::Blob),
            Some(DocumentKind::Manifest) if self.can_be_skipped(listed) => return Ok(Content::NotSelected),
            Some(_) => {}
        }
        match self.source.document(listed)? {
            None => Ok(Content::Absent),
            Some(Document::Manifest(manifest)) => self.manifest(listed, manifest),
            Some(Document::Index(index)) => {
                let deeper = depth.checked_sub(1).ok_or_else(|| Error::TooDeep {
                    place: Box::new(self.source.reference().clone()),
                    limit: DEPTH_MAX,
                })?;
                let children = index.value().manifests.iter().map(|child| self.node(child, deeper));
                let children = children.collect::<Result<_, _>>()?;
                Ok(Content::Index(index, children))
            }
        }
    }

    /// Nobody asks for its platform, and it is not to be carried along either. Attestations have no platform of their own.
    fn can_be_skipped(&self, listed: &Descriptor) -> bool {
        self.options.originals == Originals::Replace
            && listed.attests().is_none()
            && listed.platform.as_ref().is_some_and(|platform| !self.selects(platform))
    }

    fn manifest(&self, listed: &Descriptor, manifest: Box<Exact<Manifest>>) -> Result<Content, Error> {
        if listed.attests().is_some() || !manifest.value().is_image() {
            return Ok(Content::Artifact(manifest));
        }
        let chunked = self.chunked_layers(manifest.value())?;
        let manifest = *manifest;
        let image = match listed.platform.clone() {
            Some(platform) if !self.selects(&platform) => {
                Image { manifest, config: None, platform: Some(platform), selected: false, chunked }
            }
            platform => {
                let config = self.config(&manifest.value().config)?;
                let platform = platform.unwrap_or_else(|| config.platform.clone());
                let selected = self.selects(&platform);
                Image { manifest, config: Some(config), platform: Some(platform), selected, chunked }
            }
        };
        Ok(Content::Image(Box::new(image)))
    }

    fn chunked_layers(&self, manifest: &Manifest) -> Result<Vec<BlobDigest>, Error> {
        let mut chunked = Vec::new();
        for layer in manifest.layers.iter().filter(|_| self.options.chunked == Chunked::Keep) {
            if self.is_chunked(layer)? {
                chunked.push(layer.digest);
            }
        }
        Ok(chunked)
    }

    /// Tells whether a layer is zstd:chunked of the current dialect, which holds the digest of its tar-split in the TOC
    /// and nowhere else. Annotations are known to outlive the blob they were made for, so the TOC is looked at.
    fn is_chunked(&self, layer: &Descriptor) -> Result<bool, Error> {
        let toc = Toc::parse(|key| layer.annotations.get(key).map(String::as_str));
        let Ok(Some(Toc::ZstdChunked { prefix: Prefix::Current, toc_digest, location, .. })) = &toc else {
            return Ok(false);
        };
        let is_current =
            matches!(&toc, Ok(Some(Toc::ZstdChunked { tar_split_digest: None, json_digest: None, .. })));
        if !is_current || location.tar_split.is_none() {
            return Ok(false);
        }
        let Some(blob) = self.source.blob(layer)? else { return Ok(false) };
        let range = location.toc.range;
        match blob.read_range(range).map(|toc| Verifying::new(toc, toc_digest.0, range.len())) {
            Ok(mut toc) => Ok(io::copy(&mut toc, &mut io::sink()).is_ok()),
            Err(_) => Ok(false),
        }
    }

    fn selects(&self, platform: &Platform) -> bool {
        let selectors = &self.options.platforms;
        selectors.is_empty() || selectors.iter().any(|selector| selector.matches(platform))
    }

    fn config(&self, descriptor: &Descriptor) -> Result<Config, Error> {
        let bytes = self.source.small_blob(descriptor)?.ok_or_else(|| no_blob(self.source, descriptor))?;
        Config::parse(&bytes).map_err(|invalid| self.source.document_error(descriptor, invalid))
    }
}
