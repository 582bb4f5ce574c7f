//! Decides what becomes of each part of an image, from its documents alone.

use std::fmt;
use std::iter;
use std::sync::Arc;

use chunked::digest::{BlobDigest, DiffId, Digest};

use super::examine::ChunkedLayers;
use super::{Chunked, Options, Originals};
use crate::descriptor::Descriptor;
use crate::error::Error;
use crate::image::{Exact, Index, Manifest};
use crate::media_type::{LayerKind, MediaType};
use crate::platform::Platform;
use crate::reference::Reference;
use crate::tree::{self, Absent, Content, Node};

/// What becomes of one place in an index, or of the root.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// The descriptor as it is listed.
    pub(super) listed: Descriptor,
    /// What is done with what it points at.
    pub(super) step: Step,
}

/// What is done with one part of an image.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Layers are converted, and a new manifest made.
    Convert(Box<Image>),
    /// The manifest is copied byte for byte, with all it points at.
    Copy { manifest: Arc<Exact<Manifest>>, platform: Option<Platform>, why: CopyReason },
    /// Likewise, if the manifest it speaks of stays.
    Follow { manifest: Arc<Exact<Manifest>>, subject: BlobDigest },
    /// Each child as its own plan says.
    Index(Arc<Exact<Index>>, Vec<Plan>),
    /// The blob is copied.
    CopyBlob,
    /// Nothing: what its original is converted to takes its place.
    Supersede,
    /// Nothing: it is not there.
    Absent(Box<Absent>),
    /// Nothing: nobody asked for it.
    NotSelected,
}

/// An image that is to be converted.
#[derive(Debug, Clone)]
pub(super) struct Image {
    pub(super) manifest: Arc<Exact<Manifest>>,
    pub(super) platform: Option<Platform>,
    pub(super) layers: Vec<Layer>,
}

/// A layer, the digest its tar must have, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layer {
    pub(super) descriptor: Descriptor,
    pub(super) diff_id: DiffId,
    pub(super) step: LayerStep,
}

/// What becomes of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LayerStep {
    /// It is converted.
    Convert,
    /// It is zstd:chunked of the current dialect, and stays.
    Keep,
    /// It stays although it is not.
    Carry(CarryReason),
}

/// Why a layer is carried unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CarryReason {
    /// It must not be redistributed.
    Foreign,
    /// It is encrypted.
    Encrypted,
    /// Its media type is not one of a layer.
    MediaType(MediaType),
    /// Its DiffID cannot be compared with ours.
    DiffIdAlgorithm(&'static str),
}

impl fmt::Display for CarryReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("it is foreign: it must not be redistributed"),
            Self::Encrypted => f.write_str("it is encrypted"),
            Self::MediaType(found) => write!(f, "its media type `{found}` is not that of a layer"),
            Self::DiffIdAlgorithm(found) => write!(f, "its DiffID is a {found}, expected sha256"),
        }
    }
}

/// Why a manifest is copied unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum CopyReason {
    /// No layer has to be converted.
    NothingToConvert,
    /// Its platform was not asked for, and originals stay.
    NotSelected,
    /// The index holds the same image as zstd:chunked already.
    HasTwin,
    /// It was added to an index beside its original.
    IsAdded,
    /// It is not an image.
    Artifact,
}

impl fmt::Display for CopyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NothingToConvert => "no layer has to be converted",
            Self::NotSelected => "its platform was not asked for",
            Self::HasTwin => "the index lists the same image as zstd:chunked",
            Self::IsAdded => "it is marked as the zstd form of another image",
            Self::Artifact => "it is not an image",
        })
    }
}

/// Decides what becomes of an image.
///
/// # Errors
/// When a manifest and its configuration do not list the same number of layers.
pub(super) fn plan(
    reference: &Reference,
    root: Node,
    chunked: &ChunkedLayers,
    options: &Options,
) -> Result<Plan, Error> {
    Planner { reference, chunked, options }.node(root, &Siblings::default())
}

/// What the index that lists an image lists besides. Images are told by their configurations, which a conversion keeps,
/// and by their platforms: images for two of them may share a configuration.
#[derive(Debug, Default)]
struct Siblings {
    /// Images that are to be converted, as originals.
    originals: Vec<(BlobDigest, String)>,
    /// Images that are there as zstd:chunked, beside their originals.
    twins: Vec<(BlobDigest, String)>,
}

impl Siblings {
    fn of(children: &[Node], chunked: &ChunkedLayers) -> Self {
        let mut siblings = Self::default();
        for child in children {
            let Content::Image(image) = &child.content else { continue };
            if !child.listed.is_marked_zstd() && image.selected {
                siblings.originals.push(identity(&image.manifest, &image.platform));
            } else if is_converted(image, chunked) {
                siblings.twins.push(identity(&image.manifest, &image.platform));
            }
        }
        siblings
    }
}

fn identity(manifest: &Exact<Manifest>, platform: &Platform) -> (BlobDigest, String) {
    (manifest.value().config.digest, platform.to_string())
}

struct Planner<'a> {
    reference: &'a Reference,
    chunked: &'a ChunkedLayers,
    options: &'a Options,
}

impl Planner<'_> {
    fn node(&self, node: Node, siblings: &Siblings) -> Result<Plan, Error> {
        let Node { listed, content } = node;
        let step = match content {
            Content::Image(image) => self.image(&listed, *image, siblings)?,
            Content::Artifact(manifest) => match listed.attests() {
                Some(subject) => Step::Follow { manifest, subject },
                None => Step::Copy { manifest, platform: None, why: CopyReason::Artifact },
            },
            Content::Index(index, children) => {
                let siblings = Siblings::of(&children, self.chunked);
                let plans = children.into_iter().map(|child| self.node(child, &siblings));
                Step::Index(index, plans.collect::<Result<_, _>>()?)
            }
            Content::Blob => Step::CopyBlob,
            Content::Absent(absent) => Step::Absent(absent),
            Content::NotSelected => Step::NotSelected,
        };
        Ok(Plan { listed, step })
    }

    fn image(&self, listed: &Descriptor, image: tree::Image, siblings: &Siblings) -> Result<Step, Error> {
        let tree::Image { manifest, config, platform, selected } = image;
        let keeps = self.options.originals == Originals::Keep;
        let Some(config) = config.filter(|_| selected) else {
            return Ok(match keeps {
                true => copy(manifest, Some(platform), CopyReason::NotSelected),
                false => Step::NotSelected,
            });
        };
        if keeps && let Some(step) = self.beside(listed, &manifest, &platform, siblings) {
            return Ok(step);
        }
        let layers = self.layers(&manifest, &config.rootfs.diff_ids)?;
        // A manifest of Docker becomes one of OCI in any case, unless it is to stay.
        let stays = keeps || *manifest.media_type() == MediaType::OCI_MANIFEST;
        if stays && layers.iter().all(|layer| layer.step != LayerStep::Convert) {
            return Ok(copy(manifest, Some(platform), CopyReason::NothingToConvert));
        }
        Ok(Step::Convert(Box::new(Image { manifest, platform: Some(platform), layers })))
    }

    /// Decides about an image that belongs to another one in the same index: a second run must not add anything again.
    fn beside(
        &self,
        listed: &Descriptor,
        manifest: &Arc<Exact<Manifest>>,
        platform: &Platform,
        siblings: &Siblings,
    ) -> Option<Step> {
        let identity = identity(manifest, platform);
        let redo = self.options.chunked == Chunked::Redo;
        let why = match listed.is_marked_zstd() {
            true if redo && siblings.originals.contains(&identity) => return Some(Step::Supersede),
            true => CopyReason::IsAdded,
            false if !redo && siblings.twins.contains(&identity) => CopyReason::HasTwin,
            false => return None,
        };
        Some(copy(manifest.clone(), Some(platform.clone()), why))
    }

    fn layers(&self, manifest: &Exact<Manifest>, diff_ids: &[DiffId]) -> Result<Vec<Layer>, Error> {
        let layers = &manifest.value().layers;
        if layers.len() != diff_ids.len() {
            return Err(Error::LayerCount {
                place: Box::new(self.reference.clone()),
                manifest: Box::new(manifest.digest()),
                layers: layers.len(),
                diff_ids: diff_ids.len(),
            });
        }
        // One blob may be listed with annotations and without: what is true of it here need not be true there.
        let chunked = self.chunked.of(manifest).iter().copied().chain(iter::repeat(false));
        let layer = |((descriptor, diff_id), is_chunked): ((&Descriptor, &DiffId), bool)| Layer {
            descriptor: descriptor.clone(),
            diff_id: *diff_id,
            step: layer_step(descriptor, diff_id, is_chunked),
        };
        Ok(layers.iter().zip(diff_ids).zip(chunked).map(layer).collect())
    }
}

fn copy(manifest: Arc<Exact<Manifest>>, platform: Option<Platform>, why: CopyReason) -> Step {
    Step::Copy { manifest, platform, why }
}

/// Decides what becomes of a layer.
fn layer_step(descriptor: &Descriptor, diff_id: &DiffId, is_chunked: bool) -> LayerStep {
    match descriptor.media_type.layer() {
        LayerKind::Foreign => LayerStep::Carry(CarryReason::Foreign),
        LayerKind::Encrypted => LayerStep::Carry(CarryReason::Encrypted),
        LayerKind::Unknown => LayerStep::Carry(CarryReason::MediaType(descriptor.media_type.clone())),
        _ if !matches!(diff_id.0, Digest::Sha256(_)) => {
            LayerStep::Carry(CarryReason::DiffIdAlgorithm(diff_id.0.algorithm()))
        }
        LayerKind::TarZstd if is_chunked => LayerStep::Keep,
        LayerKind::TarZstd | LayerKind::TarGzip | LayerKind::Tar => LayerStep::Convert,
    }
}

/// Tells whether an image is what a conversion leaves: all zstd, and some of it chunked.
fn is_converted(image: &tree::Image, chunked: &ChunkedLayers) -> bool {
    let unconverted =
        |layer: &Descriptor| matches!(layer.media_type.layer(), LayerKind::Tar | LayerKind::TarGzip);
    !image.manifest.value().layers.iter().any(unconverted) && chunked.of(&image.manifest).contains(&true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_decided_by_media_type_diff_id_and_toc() {
        let step = |media_type: &str, diff_id: Digest, is_chunked| {
            let blob = BlobDigest::of(b"");
            let descriptor = Descriptor::new(MediaType::from(media_type.to_owned()), blob, 0);
            layer_step(&descriptor, &DiffId(diff_id), is_chunked)
        };
        let usual = Digest::of(b"");
        let zstd = MediaType::OCI_LAYER_ZSTD;
        assert_eq!(step(zstd.as_str(), usual, true), LayerStep::Keep);
        assert_eq!(step(zstd.as_str(), usual, false), LayerStep::Convert);
        for plain in [MediaType::OCI_LAYER, MediaType::OCI_LAYER_GZIP, MediaType::DOCKER_LAYER_GZIP] {
            assert_eq!(
                step(plain.as_str(), usual, true),
                LayerStep::Convert,
                "annotations of gzip layers are stale"
            );
        }
        let carried = |media_type: &str, diff_id| match step(media_type, diff_id, false) {
            LayerStep::Carry(why) => why.to_string(),
            other => panic!("{other:?}"),
        };
        insta::assert_snapshot!(carried("application/vnd.oci.image.layer.nondistributable.v1.tar", usual), @"it is foreign: it must not be redistributed");
        insta::assert_snapshot!(carried("application/vnd.oci.image.layer.v1.tar+encrypted", usual), @"it is encrypted");
        insta::assert_snapshot!(carried("application/vnd.in-toto+json", usual), @"its media type `application/vnd.in-toto+json` is not that of a layer");
        insta::assert_snapshot!(carried(zstd.as_str(), Digest::Sha512([0; 64])), @"its DiffID is a sha512, expected sha256");
    }
}
