//! Looks at the blobs of an image: which are missing, and which are zstd:chunked.

use std::collections::HashMap;
use std::{io, iter};

use chunked::annotations::{Annotations as Toc, Prefix};
use chunked::convert::SelfCheck;
use chunked::digest::{BlobDigest, DiffId, TocDigest};
use chunked::verify::{Expected, Verdict, verify};
use chunked::verifying::Verifying;
use chunked::{BlobRange, Limits};

use super::{Chunked, Options};
use crate::blob::Blob;
use crate::descriptor::Descriptor;
use crate::error::Error;
use crate::image::{Exact, Manifest};
use crate::media_type::LayerKind;
use crate::source::ImageSource;
use crate::tree::{Absent, Content, Image, Node};

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
    options: &Options,
) -> Result<ChunkedLayers, Error> {
    let mut examiner = Examiner { source, options, found: ChunkedLayers::default(), tocs: HashMap::new() };
    examiner.node(root)?;
    match &root.content {
        Content::Absent(absent) => Err(source.no_blob(&absent.missing)),
        _ => Ok(examiner.found),
    }
}

/// The DiffIDs of an image whose configuration was read.
fn diff_ids(image: &Image) -> Vec<DiffId> {
    image.config.as_ref().map(|config| config.rootfs.diff_ids.clone()).unwrap_or_default()
}

struct Examiner<'a> {
    source: &'a dyn ImageSource,
    options: &'a Options,
    found: ChunkedLayers,
    /// Whether a blob has the TOC of this digest at this place, and the tar of this DiffID. One layer may be listed many
    /// times.
    tocs: HashMap<(BlobDigest, BlobRange, TocDigest, Option<DiffId>), bool>,
}

impl Examiner<'_> {
    fn node(&mut self, node: &mut Node) -> Result<(), Error> {
        let (manifest, platform, diff_ids) = match &mut node.content {
            Content::Index(_, children) => return children.iter_mut().try_for_each(|child| self.node(child)),
            Content::Image(image) => {
                (image.manifest.clone(), Some(image.platform.clone()), Some(diff_ids(image)))
            }
            Content::Artifact(manifest) => (manifest.clone(), node.listed.platform.clone(), None),
            Content::Blob | Content::Absent(_) | Content::NotSelected => return Ok(()),
        };
        if let Some(missing) = self.missing(manifest.value()) {
            node.content = Content::Absent(Box::new(Absent { missing, platform }));
        } else if let Some(diff_ids) = diff_ids
            && !self.found.0.contains_key(&manifest.digest())
        {
            let diff_ids = diff_ids.into_iter().map(Some).chain(iter::repeat(None));
            let layers = manifest.value().layers.iter().zip(diff_ids);
            let layers = layers.map(|(layer, diff_id)| self.is_chunked(layer, diff_id));
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
    /// and nowhere else. Annotations are known to outlive the blob they were made for, so the TOC is looked at; where the
    /// DiffID is known, all of the layer is, unless the self-check is off.
    fn is_chunked(&mut self, layer: &Descriptor, diff_id: Option<DiffId>) -> Result<bool, Error> {
        let toc = Toc::parse(|key| layer.annotations.get(key).map(String::as_str)).ok().flatten();
        let Some(annotations) = toc.filter(|toc| self.options.chunked == Chunked::Keep && is_current(toc))
        else {
            return Ok(false);
        };
        let Toc::ZstdChunked { toc_digest, location, .. } = &annotations else { return Ok(false) };
        let range = location.toc.range;
        let key = (layer.digest, range, *toc_digest, diff_id);
        if let Some(known) = self.tocs.get(&key) {
            return Ok(*known);
        }
        let Some(blob) = self.source.blob(layer)? else { return Ok(false) };
        let holds = match diff_id.filter(|_| self.options.layer.self_check == SelfCheck::On) {
            Some(diff_id) => is_intact(&*blob, layer.digest, Some(&annotations), diff_id),
            None => {
                let toc = blob.read_range(range).map(|toc| Verifying::new(toc, toc_digest.0, range.len()));
                toc.is_ok_and(|mut toc| io::copy(&mut toc, &mut io::sink()).is_ok())
            }
        };
        self.tocs.insert(key, holds);
        Ok(holds)
    }
}

fn is_current(annotations: &Toc) -> bool {
    match annotations {
        Toc::ZstdChunked {
            prefix: Prefix::Current,
            location,
            tar_split_digest: None,
            json_digest: None,
            ..
        } => location.tar_split.is_some(),
        _ => false,
    }
}

/// Verifies all of a layer: the blob, its tar, and what the TOC and the tar-split say of them.
pub(super) fn is_intact(
    blob: &dyn Blob,
    digest: BlobDigest,
    annotations: Option<&Toc>,
    diff_id: DiffId,
) -> bool {
    let expected = Expected { annotations, blob_digest: Some(digest), diff_id: Some(diff_id) };
    verify(blob, &expected, &Limits::default()).is_ok_and(|report| report.verdict != Verdict::Damaged)
}
