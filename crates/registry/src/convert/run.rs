//! Carries a plan out, and reports.

use std::sync::Arc;

use chunked::annotations;
use chunked::digest::BlobDigest;

use super::layer::Mover;
use super::memo::{ConvertedLayer, Format};
use super::plan::{CarryReason, Image, Layer, LayerStep, Plan, Step};
use super::progress::Progress;
use super::report::{Action, LayerAction, LayerReport, ManifestReport, Origin, Report};
use super::{Options, Originals};
use crate::descriptor::{Descriptor, ZSTD};
use crate::error::Error;
use crate::image::{Document, Exact, Index, Invalid, Manifest};
use crate::media_type::{LayerKind, MediaType};
use crate::platform::Platform;
use crate::sink::ImageSink;
use crate::source::ImageSource;

/// Carries out `plan`, and commits `sink`.
pub(super) fn run(
    plan: Plan,
    source: &dyn ImageSource,
    sink: Box<dyn ImageSink>,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    let (layers, blob_len) = work(&plan);
    progress.planned(layers, blob_len);
    let mover = Mover::new(source, sink, options, progress)?;
    let mut run = Run { mover, originals: options.originals, progress, reports: Vec::new() };
    let destination = run.mover.sink.reference().to_string();
    let root = run.root(&plan)?;
    let Run { mover: Mover { sink, warnings, .. }, reports, .. } = run;
    sink.commit(&root)?;
    Ok(Report {
        source: source.reference().to_string(),
        destination,
        before: source.root().into(),
        after: (&root).into(),
        self_check: options.layer.self_check,
        manifests: reports,
        warnings,
    })
}

/// Counts the layers that are to be converted or carried along in converted images, and their bytes.
fn work(plan: &Plan) -> (usize, u64) {
    match &plan.step {
        Step::Convert(image) => (
            image.layers.len(),
            image.layers.iter().fold(0, |len: u64, layer| len.saturating_add(layer.descriptor.len)),
        ),
        Step::Index(_, children) => {
            children.iter().map(work).fold((0, 0), |(layers, len), (more, longer)| {
                (layers.saturating_add(more), len.saturating_add(longer))
            })
        }
        _ => (0, 0),
    }
}

struct Run<'a> {
    mover: Mover<'a>,
    originals: Originals,
    progress: &'a dyn Progress,
    reports: Vec<ManifestReport>,
}

/// What an index lists now in the place of a child.
#[derive(Debug, Default)]
struct Listing {
    /// In its place.
    here: Option<Descriptor>,
    /// After all that was listed.
    added: Option<Descriptor>,
}

impl Listing {
    fn here(descriptor: Descriptor) -> Self {
        Self { here: Some(descriptor), added: None }
    }
}

impl Run<'_> {
    /// Carries out the plan of the root; an image that gets a second form gets an index as well.
    fn root(&mut self, plan: &Plan) -> Result<Descriptor, Error> {
        let Listing { here, added } = self.child(plan)?;
        let root = match (here, added) {
            (Some(original), Some(added)) => {
                let original = Descriptor { platform: added.platform.clone(), ..original };
                self.put_index(Index::of(vec![original, added]))?
            }
            (here, added) => here
                .or(added)
                .ok_or_else(|| Error::NoImages { place: Box::new(self.mover.source.reference().clone()) })?,
        };
        Ok(root.bare())
    }

    fn child(&mut self, plan: &Plan) -> Result<Listing, Error> {
        let listed = &plan.listed;
        match &plan.step {
            Step::Convert(image) => self.convert(listed, image),
            Step::Copy { manifest, platform, why } => {
                self.copy_manifest(manifest)?;
                let mut report = report(listed, Action::Kept, platform.as_ref());
                report.reason = Some(why.to_string());
                self.reports.push(report);
                Ok(Listing::here(listed.clone()))
            }
            Step::Follow { manifest, .. } => {
                self.copy_manifest(manifest)?;
                self.reports.push(report(listed, Action::Kept, None));
                Ok(Listing::here(listed.clone()))
            }
            Step::Index(index, children) => {
                let here = self.index(listed, index, children)?;
                Ok(Listing { here, added: None })
            }
            Step::CopyBlob => {
                let there = self.mover.copy(listed, |_| {})?;
                self.reports.push(report(listed, if there { Action::Kept } else { Action::Absent }, None));
                Ok(Listing { here: (there || self.keeps_originals()).then(|| listed.clone()), added: None })
            }
            Step::Supersede => {
                let mut report = report(listed, Action::Dropped, None);
                report.reason = Some("its original is converted anew".to_owned());
                self.reports.push(report);
                Ok(Listing::default())
            }
            Step::Absent(absent) => {
                let needed = absent.missing.digest;
                let reason = (needed != listed.digest).then(|| format!("its blob {needed} is missing"));
                Ok(self.leave(listed, Action::Absent, absent.platform.as_ref(), reason))
            }
            Step::NotSelected => Ok(self.leave(listed, Action::NotSelected, None, None)),
        }
    }

    fn keeps_originals(&self) -> bool {
        self.originals == Originals::Keep
    }

    /// Leaves out what is not there or not asked for; an index that keeps its originals goes on listing it.
    fn leave(
        &mut self,
        listed: &Descriptor,
        action: Action,
        platform: Option<&Platform>,
        reason: Option<String>,
    ) -> Listing {
        self.reports.push(ManifestReport { reason, ..report(listed, action, platform) });
        Listing { here: self.keeps_originals().then(|| listed.clone()), added: None }
    }

    /// Writes the index anew where something in it changed; one that would list nothing is left out.
    fn index(
        &mut self,
        listed: &Descriptor,
        index: &Arc<Exact<Index>>,
        children: &[Plan],
    ) -> Result<Option<Descriptor>, Error> {
        let mut listings = Vec::new();
        for child in children {
            let listing = match &child.step {
                // What it speaks of may come later in the list.
                Step::Follow { .. } if !self.keeps_originals() => Listing::default(),
                _ => self.child(child)?,
            };
            listings.push(listing);
        }
        if !self.keeps_originals() {
            self.follow(children, &mut listings)?;
        }
        let manifests = self.merge(listings);
        let stays = self.keeps_originals() || *index.media_type() == MediaType::OCI_INDEX;
        if stays && manifests == index.value().manifests {
            self.mover.sink.put_document(&Document::Index(index.clone()))?;
            return Ok(Some(listed.clone()));
        }
        if manifests.is_empty() {
            return Ok(None);
        }
        let value = Index { media_type: Some(MediaType::OCI_INDEX), manifests, ..index.value().clone() };
        let new = self.put_index(value)?;
        Ok(Some(listed.redirected(new.media_type, new.digest, new.len)))
    }

    /// Lists what is left, then what was added. Two forms of one image may have become the same, which is listed once;
    /// originals that stay are all listed.
    fn merge(&self, listings: Vec<Listing>) -> Vec<Descriptor> {
        let (here, added): (Vec<_>, Vec<_>) =
            listings.into_iter().map(|listing| (listing.here, listing.added)).unzip();
        let mut manifests: Vec<Descriptor> = Vec::new();
        for descriptor in here.into_iter().flatten() {
            let same = |other: &Descriptor| {
                is_same_image(other, &descriptor) && other.annotations == descriptor.annotations
            };
            if self.keeps_originals() || !manifests.iter().any(same) {
                manifests.push(descriptor);
            }
        }
        for descriptor in added.into_iter().flatten() {
            if !manifests.iter().any(|other| is_same_image(other, &descriptor)) {
                manifests.push(descriptor);
            }
        }
        manifests
    }

    /// Decides about attestations, once it is known which manifests stay.
    fn follow(&mut self, children: &[Plan], listings: &mut [Listing]) -> Result<(), Error> {
        let stays: Vec<BlobDigest> =
            listings.iter().filter_map(|listing| listing.here.as_ref()).map(|here| here.digest).collect();
        for (child, listing) in children.iter().zip(listings) {
            let Step::Follow { subject, .. } = &child.step else { continue };
            if stays.contains(subject) {
                *listing = self.child(child)?;
            } else {
                let mut report = report(&child.listed, Action::Dropped, None);
                report.reason = Some(format!("it attests {subject}, which is not listed any more"));
                self.reports.push(report);
            }
        }
        Ok(())
    }

    fn put_index(&mut self, value: Index) -> Result<Descriptor, Error> {
        let index =
            Exact::encode(MediaType::OCI_INDEX, value).map_err(|invalid| self.not_written(invalid))?;
        let document = Document::Index(Arc::new(index));
        self.mover.sink.put_document(&document)?;
        Ok(document.descriptor())
    }

    fn not_written(&self, source: Invalid) -> Error {
        Error::NewDocument { place: Box::new(self.mover.sink.reference().clone()), source }
    }

    fn convert(&mut self, listed: &Descriptor, image: &Image) -> Result<Listing, Error> {
        if self.keeps_originals() {
            self.copy_manifest(&image.manifest)?;
        }
        let original = image.manifest.value();
        let mut layers = Vec::new();
        let mut reports = Vec::new();
        for layer in &image.layers {
            let (descriptor, report) = self.layer(layer)?;
            self.progress.layer_finished(&report);
            layers.push(descriptor);
            reports.push(report);
        }
        self.copy_needed(&original.config, |_| {})?;
        let value = Manifest {
            media_type: Some(MediaType::OCI_MANIFEST),
            config: Descriptor { media_type: original.config.media_type.to_oci(), ..original.config.clone() },
            layers,
            ..original.clone()
        };
        let manifest =
            Exact::encode(MediaType::OCI_MANIFEST, value).map_err(|invalid| self.not_written(invalid))?;
        let descriptor = describe(listed, &manifest, image.platform.as_ref());
        self.mover.sink.put_document(&Document::Manifest(Arc::new(manifest)))?;

        let unchanged = descriptor.digest == listed.digest;
        let action = match self.originals {
            Originals::Keep if unchanged => Action::Kept,
            Originals::Keep => Action::Added,
            Originals::Replace => Action::Converted,
        };
        let mut report = report(listed, action, image.platform.as_ref());
        report.result = Some((&descriptor).into());
        report.image_id = Some(original.config.digest);
        report.layers = reports;
        self.reports.push(report);
        Ok(match self.originals {
            Originals::Keep if unchanged => Listing::here(listed.clone()),
            Originals::Replace => Listing::here(descriptor),
            Originals::Keep => Listing { here: Some(listed.clone()), added: Some(descriptor) },
        })
    }

    fn layer(&mut self, layer: &Layer) -> Result<(Descriptor, LayerReport), Error> {
        self.progress.layer_started(&layer.descriptor);
        match &layer.step {
            LayerStep::Convert => {
                let (converted, origin) = self.mover.convert(layer)?;
                Ok(converted_layer(layer, converted, origin))
            }
            LayerStep::Keep => {
                let progress = self.progress;
                self.copy_needed(&layer.descriptor, |len| progress.layer_advanced(len))?;
                Ok(carried_layer(layer, None))
            }
            LayerStep::Carry(why) => {
                // A foreign layer is often only where its `urls` say.
                let there = self.mover.copy(&layer.descriptor, |len| self.progress.layer_advanced(len))?;
                if !there && *why != CarryReason::Foreign {
                    return Err(self.mover.source.no_blob(&layer.descriptor));
                }
                Ok(carried_layer(layer, Some(why)))
            }
        }
    }

    fn copy_manifest(&mut self, manifest: &Arc<Exact<Manifest>>) -> Result<(), Error> {
        let value = manifest.value();
        for layer in &value.layers {
            if layer.media_type.layer() == LayerKind::Foreign {
                self.mover.copy(layer, |_| {})?;
            } else {
                self.copy_needed(layer, |_| {})?;
            }
        }
        self.copy_needed(&value.config, |_| {})?;
        self.mover.sink.put_document(&Document::Manifest(manifest.clone()))
    }

    fn copy_needed(&mut self, descriptor: &Descriptor, advanced: impl Fn(u64)) -> Result<(), Error> {
        match self.mover.copy(descriptor, advanced)? {
            true => Ok(()),
            false => Err(self.mover.source.no_blob(descriptor)),
        }
    }
}

fn is_same_image(one: &Descriptor, other: &Descriptor) -> bool {
    one.digest == other.digest && one.platform == other.platform
}

/// Describes a converted manifest in the place of the one that is listed.
fn describe(listed: &Descriptor, manifest: &Exact<Manifest>, platform: Option<&Platform>) -> Descriptor {
    let Descriptor { media_type, digest, len, .. } = manifest.descriptor();
    let mut descriptor = listed.redirected(media_type, digest, len);
    descriptor.platform = descriptor.platform.or_else(|| platform.cloned());
    let is_zstd = |layer: &Descriptor| layer.media_type.layer() == LayerKind::TarZstd;
    if manifest.value().layers.iter().any(is_zstd) {
        descriptor.annotations.insert(ZSTD.to_owned(), "true".to_owned());
    }
    descriptor
}

fn converted_layer(layer: &Layer, converted: ConvertedLayer, origin: Origin) -> (Descriptor, LayerReport) {
    let blob = converted.descriptor();
    let mut descriptor = layer.descriptor.redirected(blob.media_type, blob.digest, blob.len);
    descriptor.annotations.retain(|key, _| !annotations::ALL_KEYS.contains(&key.as_str()));
    descriptor.annotations.extend(converted.annotations);
    let (action, reason) = match converted.format {
        Format::Chunked => (LayerAction::Chunked, None),
        Format::Plain(why) => (LayerAction::Plain, Some(why)),
    };
    let report = LayerReport {
        source: (&layer.descriptor).into(),
        compression: Some(converted.compression),
        action,
        reason,
        result: (&descriptor).into(),
        diff_id: layer.diff_id,
        tar_len: Some(converted.tar_len),
        counts: Some(converted.counts),
        origin: Some(origin),
    };
    (descriptor, report)
}

/// Describes a layer that stays, for `why` if it is not chunked.
fn carried_layer(layer: &Layer, why: Option<&CarryReason>) -> (Descriptor, LayerReport) {
    let descriptor =
        Descriptor { media_type: layer.descriptor.media_type.to_oci(), ..layer.descriptor.clone() };
    let report = LayerReport {
        source: (&layer.descriptor).into(),
        compression: None,
        action: if why.is_some() { LayerAction::Carried } else { LayerAction::Kept },
        reason: why.map(ToString::to_string),
        result: (&descriptor).into(),
        diff_id: layer.diff_id,
        tar_len: None,
        counts: None,
        origin: None,
    };
    (descriptor, report)
}

fn report(listed: &Descriptor, action: Action, platform: Option<&Platform>) -> ManifestReport {
    ManifestReport {
        source: listed.into(),
        platform: platform.or(listed.platform.as_ref()).map(ToString::to_string),
        action,
        reason: None,
        result: None,
        image_id: None,
        layers: Vec::new(),
    }
}
