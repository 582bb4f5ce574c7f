//! Looks at the blobs of an image: which are missing, and which are zstd:chunked.

use std::collections::HashMap;
use std::io;

use chunked::BlobRange;
use chunked::annotations::{Annotations as Toc, Prefix};
use chunked::digest::BlobDigest;
use chunked::verifying::Verifying;

use super::Chunked;
use crate::descriptor::Descriptor;
use crate::error::Error;
use crate::image::{Exact, Manifest};
use crate::media_type::LayerKind;
use crate::source::ImageSource;
use crate::tree::{Absent, Content, Node};

/// The layers that are zstd:chunked of the current dialect, by manifest; none if those are to be converted again.
#[derive(Debug, Default)]
pub(super) struct ChunkedLayers(HashMap<BlobDigest, Vec<bool>>);

impl ChunkedLayers {
    /// Tells of each layer of `manifest` whether it is chunked; nothing if that was not looked at.
    pub(super) fn of(&self, manifest: &Exact<Manifest>) -> &[bool] {
        self.0.get(&manifest.digest()).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Marks manifests that need a blob that is not there as absent, and finds the layers that are chunked.
///
/// # Errors
/// [`Error::NoBlob`] when the only image is not there as a whole, and those of reading.
pub(super) fn examine(
    source: &dyn ImageSource,
    root: &mut Node,
    chunked: Chunked,
) -> Result<ChunkedLayers, Error> {
    let mut examiner = Examiner { source, chunked, found: ChunkedLayers::default(), tocs: HashMap::new() };
    examiner.node(root)?;
    match &root.content {
        Content::Absent(absent) => Err(source.no_blob(&absent.missing)),
        _ => Ok(examiner.found),
    }
}

struct Examiner<'a> {
    source: &'a dyn ImageSource,
    chunked: Chunked,
    found: ChunkedLayers,
    /// Whether a stretch of a blob holds the TOC that has this digest. One layer may be listed many times.
    tocs: HashMap<(BlobDigest, BlobRange, BlobDigest), bool>,
}

impl Examiner<'_> {
    fn node(&mut self, node: &mut Node) -> Result<(), Error> {
        let (manifest, platform, is_image) = match &mut node.content {
            Content::Index(_, children) => return children.iter_mut().try_for_each(|child| self.node(child)),
            Content::Image(image) => (image.manifest.clone(), Some(image.platform.clone()), true),
            Content::Artifact(manifest) => (manifest.clone(), node.listed.platform.clone(), false),
            Content::Blob | Content::Absent(_) | Content::NotSelected => return Ok(()),
        };
        if let Some(missing) = self.missing(manifest.value()) {
            node.content = Content::Absent(Box::new(Absent { missing, platform }));
        } else if is_image && !self.found.0.contains_key(&manifest.digest()) {
            let layers = manifest.value().layers.iter().map(|layer| self.is_chunked(layer));
            let layers = layers.collect::<Result<_, _>>()?;
            self.found.0.insert(manifest.digest(), layers);
        }
        Ok(())
    }

    /// Finds a blob that is not there. One that cannot be opened is there, and whoever reads it says why.
    fn missing(&self, manifest: &Manifest) -> Option<Descriptor> {
        // A foreign layer is often only where its `urls` say.
        let needed = manifest.layers.iter().filter(|layer| layer.media_type.layer() != LayerKind::Foreign);
        let mut needed = needed.chain([&manifest.config]);
        needed.find(|blob| matches!(self.source.blob(blob), Ok(None))).map(Descriptor::bare)
    }

    /// Tells whether a layer is zstd:chunked of the current dialect, which holds the digest of its tar-split in the TOC
    /// and nowhere else. Annotations are known to outlive the blob they were made for, so the TOC is looked at.
    fn is_chunked(&mut self, layer: &Descriptor) -> Result<bool, Error> {
        let toc = Toc::parse(|key| layer.annotations.get(key).map(String::as_str));
        let Ok(Some(Toc::ZstdChunked { prefix: Prefix::Current, toc_digest, location, .. })) = &toc else {
            return Ok(false);
        };
        let is_current =
            matches!(&toc, Ok(Some(Toc::ZstdChunked { tar_split_digest: None, json_digest: None, .. })));
        if self.chunked == Chunked::Redo || !is_current || location.tar_split.is_none() {
            return Ok(false);
        }
        let range = location.toc.range;
        let key = (layer.digest, range, BlobDigest(toc_digest.0));
        if let Some(known) = self.tocs.get(&key) {
            return Ok(*known);
        }
        let Some(blob) = self.source.blob(layer)? else { return Ok(false) };
        let toc = blob.read_range(range).map(|toc| Verifying::new(toc, toc_digest.0, range.len()));
        let holds = toc.is_ok_and(|mut toc| io::copy(&mut toc, &mut io::sink()).is_ok());
        self.tocs.insert(key, holds);
        Ok(holds)
    }
}
