//! Says what the layers of an image are.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use chunked::layer::Layer;
use chunked::stats::Use;
use chunked::{BlobDigest, Limits, RangeSource};
use registry::media_type::LayerKind;
use registry::{Descriptor, ImageSource, Instance, Instances, transport};
use serde::Serialize;

use super::summary::{Summary, how, used_by};
use super::toc_text;
use crate::access::access;
use crate::instances::not_images;
use crate::output::{print, print_text, stream};
use crate::request::{ImageToSee, Subject, View};
use crate::ui::json::to_json;
use crate::ui::table::{Align, Table};
use crate::ui::words::{Bytes, short};

/// What an image is made of.
#[derive(Debug, Serialize)]
struct ImageSummary {
    manifests: Vec<ManifestSummary>,
    /// Manifests that the index lists and that are not there.
    absent: Vec<Descriptor>,
    /// Manifests that are no images.
    other: Vec<Descriptor>,
}

#[derive(Debug, Serialize)]
struct ManifestSummary {
    platform: String,
    digest: BlobDigest,
    /// The digest of the configuration.
    image_id: BlobDigest,
    layers: Vec<LayerSummary>,
}

#[derive(Debug, Serialize)]
struct LayerSummary {
    descriptor: Descriptor,
    /// What it is; `None` when it is not there, or nothing that is known.
    summary: Option<Summary>,
}

/// Opens the image, and says what is wanted of its layers.
pub(crate) fn run(image: &ImageToSee, view: View) -> anyhow::Result<ExitCode> {
    let cannot = || format!("cannot inspect `{}`", image.reference);
    let source = transport::open(&image.reference, &access(&image.registry)?).with_context(cannot)?;
    let instances = Instances::find(&*source, &image.platforms).with_context(cannot)?;
    match view.subject {
        Subject::Summary => {
            let summary = summarize(&*source, instances).with_context(cannot)?;
            match view.json {
                true => print(&to_json(&summary)?)?,
                false => print_text(&summary.to_text(&image.reference.to_string()))?,
            }
        }
        Subject::Toc => list(&*source, &instances, view.json).with_context(cannot)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn summarize(source: &dyn ImageSource, instances: Instances) -> anyhow::Result<ImageSummary> {
    let layer = |descriptor: &Descriptor| {
        let summary = open(source, descriptor, |layer, blob| Ok(Summary::of(layer, blob)?))?;
        Ok(LayerSummary { descriptor: descriptor.clone(), summary })
    };
    let manifest = |instance: &Instance| {
        let layers = instance.layers().map(|(descriptor, _)| layer(descriptor));
        Ok(ManifestSummary {
            platform: instance.platform.to_string(),
            digest: instance.manifest.digest(),
            image_id: instance.manifest.value().config.digest,
            layers: layers.collect::<anyhow::Result<_>>()?,
        })
    };
    let manifests = instances.present.iter().map(manifest).collect::<anyhow::Result<_>>()?;
    Ok(ImageSummary { manifests, absent: instances.absent, other: instances.other })
}

/// Opens a layer of a type that is known, if it is there.
fn open<T>(
    source: &dyn ImageSource,
    descriptor: &Descriptor,
    use_layer: impl FnOnce(&Layer, &dyn RangeSource) -> anyhow::Result<T>,
) -> anyhow::Result<Option<T>> {
    let is_known =
        matches!(descriptor.media_type.layer(), LayerKind::Tar | LayerKind::TarGzip | LayerKind::TarZstd);
    let blob = if is_known { source.blob(descriptor)? } else { None };
    let Some(blob) = blob else { return Ok(None) };
    let lookup = |key: &str| descriptor.annotations.get(key).map(String::as_str);
    let layer = Layer::open(&*blob, lookup, &Limits::default())
        .with_context(|| format!("cannot open layer {}", descriptor.digest))?;
    use_layer(&layer, &*blob).map(Some)
}

/// Lists the TOCs of all layers, one after another.
fn list(source: &dyn ImageSource, instances: &Instances, json: bool) -> anyhow::Result<()> {
    let layers = instances.present.iter().flat_map(Instance::layers);
    for (descriptor, _) in layers {
        open(source, descriptor, |layer, _| {
            stream(|out| match json {
                true => toc_line(layer, descriptor, out),
                false => toc_lines(layer, descriptor, out),
            })
        })?;
    }
    Ok(())
}

/// Writes a line of JSON for a layer that has a TOC.
fn toc_line(layer: &Layer, descriptor: &Descriptor, out: &mut dyn Write) -> io::Result<()> {
    let Layer::Chunked(layer) = layer else { return Ok(()) };
    write!(out, r#"{{"digest":"{}","toc":"#, descriptor.digest)?;
    toc_text::write_json(layer, out)?;
    writeln!(out, "}}")
}

fn toc_lines(layer: &Layer, descriptor: &Descriptor, out: &mut dyn Write) -> io::Result<()> {
    match layer {
        Layer::Chunked(layer) => {
            writeln!(out, "layer {}", descriptor.digest)?;
            toc_text::write(layer, out)
        }
        Layer::Plain { why } => writeln!(out, "layer {}: {why}", descriptor.digest),
    }
}

impl ImageSummary {
    fn to_text(&self, name: &str) -> String {
        let mut text = format!("{name}\n");
        for manifest in &self.manifests {
            let _ = writeln!(text, "{} {}", manifest.platform, manifest.digest);
            let _ = writeln!(text, "  image ID {}", manifest.image_id);
            text += &manifest.table();
            text += &manifest.clients();
        }
        text + &not_images(&self.absent, &self.other)
    }
}

impl ManifestSummary {
    fn table(&self) -> String {
        let right = Align::Right;
        let mut table = Table::new("  ", [Align::Left, right, right, right, right, Align::Left]);
        table.row(["layer", "blob", "entries", "chunks", "metadata", "format"].map(str::to_owned));
        for layer in &self.layers {
            let cells = layer.summary.as_ref().map(Summary::cells);
            let [format, entries, chunks, metadata] =
                cells.unwrap_or_else(|| [layer.unknown(), "-".into(), "-".into(), "-".into()]);
            let Descriptor { digest, len, .. } = &layer.descriptor;
            table.row([short(digest), Bytes(*len).to_string(), entries, chunks, metadata, format]);
        }
        table.to_string()
    }

    /// Says of each client what it can do with the image: what it can do with the worst of its layers.
    fn clients(&self) -> String {
        let layers: Vec<_> = self.layers.iter().filter_map(|layer| layer.summary.as_ref()).collect();
        let Some(first) = layers.first() else { return String::new() };
        let uses = (0..first.clients().len()).filter_map(|position| {
            let clients: Vec<_> = layers.iter().filter_map(|layer| layer.clients().get(position)).collect();
            let worst = clients.iter().max_by_key(|client| rank(client.can))?;
            let partial = clients.iter().filter(|client| client.can == Use::Partial).count();
            let how = match worst.can {
                Use::Whole if partial > 0 => format!("in parts, {partial} of {} layers", clients.len()),
                can => how(can).to_owned(),
            };
            Some((worst.name, how, worst.reason))
        });
        used_by(uses, "  ")
    }
}

fn rank(can: Use) -> u8 {
    match can {
        Use::Partial => 0,
        Use::Whole => 1,
        Use::Fails => 2,
    }
}

impl LayerSummary {
    fn unknown(&self) -> String {
        match self.descriptor.media_type.layer() {
            LayerKind::Foreign => "a foreign layer".to_owned(),
            LayerKind::Encrypted => "encrypted".to_owned(),
            LayerKind::Unknown => self.descriptor.media_type.to_string(),
            LayerKind::Tar | LayerKind::TarGzip | LayerKind::TarZstd => "not there".to_owned(),
        }
    }
}
