//! Verifies every layer of an image.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context;
use chunked::annotations::Annotations;
use chunked::verify::{Expected, Report, Verdict, verify};
use chunked::{BlobDigest, Class, DiffId, Limits};
use registry::media_type::LayerKind;
use registry::{Descriptor, ImageSource, Instance, Instances, transport};
use serde::Serialize;

use super::{exit_code, text};
use crate::access::access;
use crate::args::Form;
use crate::exit;
use crate::output::{print, print_text};
use crate::request::ImageToSee;
use crate::ui::json::to_json;
use crate::ui::progress::{Metered, Progress};

/// What was found about an image.
#[derive(Debug, Serialize)]
pub(super) struct ImageReport {
    pub(super) verdict: Verdict,
    pub(super) manifests: Vec<ManifestReport>,
    /// Manifests that the index lists and that are not there.
    pub(super) absent: Vec<Descriptor>,
    /// Manifests that are no images.
    pub(super) other: Vec<Descriptor>,
}

/// What was found about one manifest.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ManifestReport {
    pub(super) platform: String,
    pub(super) digest: BlobDigest,
    pub(super) verdict: Verdict,
    pub(super) layers: Vec<LayerReport>,
}

/// What was found about one layer.
#[derive(Debug, Clone, Serialize)]
pub(super) struct LayerReport {
    pub(super) descriptor: Descriptor,
    pub(super) verdict: Verdict,
    /// Why there is no report, or what it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) report: Option<Report>,
}

/// Verifies every layer of every manifest that is there.
pub(crate) fn run(image: &ImageToSee, form: Form) -> anyhow::Result<ExitCode> {
    let cannot = || format!("cannot verify `{}`", image.reference);
    let source = transport::open(&image.reference, &access(&image.registry)?).with_context(cannot)?;
    let Instances { present, absent, other } =
        Instances::find(&*source, &image.platforms).with_context(cannot)?;
    let manifests = of_manifests(&*source, &present, form).with_context(cannot)?;
    let verdict = match manifests.is_empty() {
        true => Verdict::Consistent,
        false => worst(manifests.iter().map(|manifest| manifest.verdict)),
    };
    let report = ImageReport { verdict, manifests, absent, other };
    match form {
        Form { json: true, .. } => print(&to_json(&report)?)?,
        Form { quiet: true, .. } => {}
        _ => print_text(&text::of_image(&image.reference.to_string(), &report))?,
    }
    Ok(exit_code(report.verdict))
}

/// Looks at each manifest once, however many platforms it is listed for.
fn of_manifests(
    source: &dyn ImageSource,
    instances: &[Instance],
    form: Form,
) -> anyhow::Result<Vec<ManifestReport>> {
    let mut known: BTreeMap<BlobDigest, ManifestReport> = BTreeMap::new();
    let of_instance = |instance: &Instance| {
        let platform = instance.platform.to_string();
        let digest = instance.manifest.digest();
        if let Some(report) = known.get(&digest) {
            return Ok(ManifestReport { platform, ..report.clone() });
        }
        let report = of_manifest(source, instance, form)?;
        known.insert(digest, report.clone());
        Ok(report)
    };
    instances.iter().map(of_instance).collect()
}

fn of_manifest(source: &dyn ImageSource, instance: &Instance, form: Form) -> anyhow::Result<ManifestReport> {
    let count = instance.manifest.value().layers.len();
    let layers: Vec<_> = instance
        .layers()
        .map(|(descriptor, diff_id)| of_layer(source, descriptor, diff_id, form))
        .collect::<anyhow::Result<_>>()?;
    let verdict = match instance.diff_ids.len() == count {
        true => worst(layers.iter().map(|layer| layer.verdict)),
        false => Verdict::Damaged,
    };
    let (platform, digest) = (instance.platform.to_string(), instance.manifest.digest());
    Ok(ManifestReport { platform, digest, verdict, layers })
}

fn of_layer(
    source: &dyn ImageSource,
    descriptor: &Descriptor,
    diff_id: Option<DiffId>,
    form: Form,
) -> anyhow::Result<LayerReport> {
    let noted = |verdict, note: String| LayerReport {
        descriptor: descriptor.clone(),
        verdict,
        note: Some(note),
        report: None,
    };
    match descriptor.media_type.layer() {
        LayerKind::Tar | LayerKind::TarGzip | LayerKind::TarZstd => {}
        LayerKind::Foreign => {
            return Ok(noted(Verdict::Consistent, "not looked at: a foreign layer".to_owned()));
        }
        LayerKind::Encrypted => return Ok(noted(Verdict::Consistent, "not looked at: encrypted".to_owned())),
        LayerKind::Unknown => {
            return Ok(noted(
                Verdict::Consistent,
                format!("not looked at: of type `{}`", descriptor.media_type),
            ));
        }
    }
    match check(source, descriptor, diff_id, form) {
        Ok(Some(report)) => Ok(LayerReport {
            descriptor: descriptor.clone(),
            verdict: report.verdict,
            note: None,
            report: Some(report),
        }),
        Ok(None) => Ok(noted(Verdict::Damaged, "the blob is not there".to_owned())),
        Err(error) if exit::class(&error) == Class::Corrupt => {
            Ok(noted(Verdict::Damaged, format!("{error:#}")))
        }
        Err(error) => Err(error),
    }
}

fn check(
    source: &dyn ImageSource,
    descriptor: &Descriptor,
    diff_id: Option<DiffId>,
    form: Form,
) -> anyhow::Result<Option<Report>> {
    let annotations = Annotations::parse(|key| descriptor.annotations.get(key).map(String::as_str));
    let annotations = annotations?;
    let Some(blob) = source.blob(descriptor)? else { return Ok(None) };
    let expected =
        Expected { annotations: annotations.as_ref(), blob_digest: Some(descriptor.digest), diff_id };
    let progress = Progress::start(descriptor.digest, Some(descriptor.len), form);
    let report = verify(&Metered::new(&*blob, &progress), &expected, &Limits::default());
    progress.finish();
    Ok(Some(report?))
}

/// Returns what all of them come to. An image without layers holds what its configuration says: nothing.
fn worst(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    verdicts.fold(Verdict::Proven, |worst, verdict| match (worst, verdict) {
        (Verdict::Damaged, _) | (_, Verdict::Damaged) => Verdict::Damaged,
        (Verdict::Consistent, _) | (_, Verdict::Consistent) => Verdict::Consistent,
        (Verdict::Proven, Verdict::Proven) => Verdict::Proven,
    })
}
