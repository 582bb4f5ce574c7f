//! What is pulled: images that are given, or one that is made up.

use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use chunked::{BlobDigest, DiffId};
use flate2::Compression;
use flate2::write::GzEncoder;
use registry::image::{Document, Exact};
use registry::transport::{self, Access};
use registry::{Descriptor, ImageSink, Manifest, MediaType, Reference, platform};
use serde::{Deserialize, Serialize};
use serde_json::json;
use server::Serves;

use super::sample::{self, Sample, Version};
use crate::commands::pull::choose;
use crate::request::BenchPull;

/// The repositories of converted images, and of those as they were, below what is served.
const REPOSITORY: &str = "bench/image";
const ORIGINALS: &str = "bench/original";
/// Where programs are that are named without a folder.
const FOLDERS: [&str; 6] = ["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin"];

/// The images of a bench.
#[derive(Debug)]
pub(super) struct Images {
    pub(super) source: Source,
    pub(super) new: Image,
    /// What is to be updated.
    pub(super) old: Option<Image>,
    pub(super) ready: Ready,
}

/// What makes an image ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ready {
    /// The first of these files that is there has been read.
    Read(Vec<String>),
    /// This command has ended.
    Ran(String),
}

/// Where images are pulled from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// A directory of layouts, which is to be served.
    Layouts(PathBuf),
    /// A registry of this machine, or another that need not prove who it is.
    Here(SocketAddr),
    /// Registries elsewhere, by TLS.
    Elsewhere,
}

/// An image as it is pulled.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Image {
    /// What the user called it.
    pub(crate) name: String,
    /// Its name without the host.
    #[serde(skip)]
    pub(crate) path: String,
    /// The same of the image as it was before it was converted.
    #[serde(skip)]
    pub(crate) original: String,
    pub(crate) layers: usize,
    /// Bytes of its layers' blobs.
    pub(crate) blob_len: u64,
}

impl Images {
    /// Gets them ready below `work`.
    pub(super) fn prepare(request: &BenchPull, access: &Access, work: &Path) -> anyhow::Result<Self> {
        let Some(image) = &request.image else { return Self::made_up(request, access, work) };
        if let Reference::Registry(new) = image {
            match &request.from {
                None => return Self::remote(request, image, access),
                Some(Reference::Registry(old)) if old.host() == new.host() => {
                    return Self::remote(request, image, access);
                }
                Some(Reference::Registry(old)) => bail!(
                    "`{image}` is pulled from `{}`, so what is updated has to be there, too, not at `{}`",
                    new.host(),
                    old.host()
                ),
                Some(_) => {}
            }
        }
        let originals: Vec<_> = [("new", Some(image)), ("old", request.from.as_ref())]
            .into_iter()
            .filter_map(|(tag, image)| Some((tag, image?.to_string(), image?.clone())))
            .collect();
        Self::local(request, access, work, &originals)
    }

    fn made_up(request: &BenchPull, access: &Access, work: &Path) -> anyhow::Result<Self> {
        let mut originals = Vec::new();
        for (version, tag) in [(Version::New, "new"), (Version::Old, "old")] {
            let reference =
                Reference::OciLayout { dir: work.join("served").join(ORIGINALS), tag: Some(tag.to_owned()) };
            write(Sample::new(version), &reference, access).context("cannot make an image up")?;
            originals.push((tag, format!("made-up image, {tag}"), reference));
        }
        Self::local(request, access, work, &originals)
    }

    /// Converts images into a layout of their own.
    fn local(
        request: &BenchPull,
        access: &Access,
        work: &Path,
        originals: &[(&str, String, Reference)],
    ) -> anyhow::Result<Self> {
        let layouts = work.join("served");
        let (mut images, mut programs) = (Vec::new(), Vec::new());
        for (tag, name, original) in originals {
            let (dir, tag) = (layouts.join(REPOSITORY), (*tag).to_owned());
            let (path, original_path) = (format!("{REPOSITORY}:{tag}"), format!("{ORIGINALS}:{tag}"));
            let converted = Reference::OciLayout { dir, tag: Some(tag.clone()) };
            run(request, "convert", original, &converted)?;
            if request.peers && request.image.is_some() {
                let copy = Reference::OciLayout { dir: layouts.join(ORIGINALS), tag: Some(tag.clone()) };
                run(request, "mirror", original, &copy)?;
            }
            let paths = (path, original_path);
            let (image, read) = Image::examine(name.clone(), paths, &converted, request, access)?;
            images.push(image);
            programs.push(read);
        }
        let mut images = images.into_iter();
        let new = images.next().context("there is no image")?;
        let programs = programs.into_iter().next().unwrap_or_default();
        Ok(Self { source: Source::Layouts(layouts), new, old: images.next(), ready: request.ready(programs) })
    }

    /// Tells whether there are the images as they were before they were converted.
    pub(super) fn has_originals(&self) -> bool {
        matches!(self.source, Source::Layouts(_))
    }

    /// Lists them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Image> {
        [Some(&self.new), self.old.as_ref()].into_iter().flatten()
    }

    fn remote(request: &BenchPull, image: &Reference, access: &Access) -> anyhow::Result<Self> {
        ensure!(
            request.serves == Serves::Many,
            "`--ranges` is for a registry of this process's own; what `{image}` is pulled from serves ranges as it does"
        );
        let source = Source::of(image, request.registry.tls_verify);
        let examine = |reference: &Reference| {
            let name = reference.to_string();
            let whole = name.trim_start_matches("docker://");
            let path = match source {
                Source::Elsewhere => whole,
                _ => whole.split_once('/').map_or(whole, |(_, path)| path),
            };
            let paths = (path.to_owned(), path.to_owned());
            Image::examine(name.clone(), paths, reference, request, access)
        };
        let (new, programs) = examine(image)?;
        let old = request.from.as_ref().map(examine).transpose()?.map(|(old, _)| old);
        Ok(Self { source, new, old, ready: request.ready(programs) })
    }
}

impl Source {
    /// Finds out where the registry of an image is.
    fn of(image: &Reference, is_verified: bool) -> Self {
        let Reference::Registry(name) = image else { return Self::Elsewhere };
        let host = name.host().replace("localhost:", "127.0.0.1:");
        let address = match is_verified {
            true => host.parse::<SocketAddr>().ok().filter(|address| address.ip().is_loopback()),
            false => host.to_socket_addrs().ok().and_then(|mut addresses| addresses.next()),
        };
        address.map_or(Self::Elsewhere, Self::Here)
    }

    /// Returns the layouts that are to be served.
    pub(super) fn layouts(&self) -> Option<&Path> {
        match self {
            Self::Layouts(layouts) => Some(layouts),
            Self::Here(_) | Self::Elsewhere => None,
        }
    }
}

impl BenchPull {
    /// Returns what the user named, or the files that the image does.
    fn ready(&self, of_image: Vec<String>) -> Ready {
        match (&self.run, &self.read) {
            (Some(command), _) => Ready::Ran(command.clone()),
            (None, Some(path)) => Ready::Read(vec![path.trim_start_matches('/').to_owned()]),
            (None, None) => Ready::Read(of_image),
        }
    }
}

impl Image {
    /// Looks at an image; returns it, and where the program is that it runs.
    fn examine(
        name: String,
        (path, original): (String, String),
        reference: &Reference,
        request: &BenchPull,
        access: &Access,
    ) -> anyhow::Result<(Self, Vec<String>)> {
        let source =
            transport::open(reference, access).with_context(|| format!("cannot open `{reference}`"))?;
        let instance = choose(&*source, request.platform.as_ref())?;
        let layers = &instance.manifest.value().layers;
        let blob_len = layers.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.len));
        let image = Self { name, path, original, layers: layers.len(), blob_len };
        let config = source.small_blob(&instance.manifest.value().config)?.unwrap_or_default();
        Ok((image, programs(&config)))
    }
}

/// Lists where the program may be that an image runs.
fn programs(config: &[u8]) -> Vec<String> {
    #[derive(Deserialize, Default)]
    struct Config {
        #[serde(default)]
        config: Option<Run>,
    }
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "PascalCase", default)]
    struct Run {
        entrypoint: Option<Vec<String>>,
        cmd: Option<Vec<String>>,
    }
    let run = serde_json::from_slice::<Config>(config).unwrap_or_default().config.unwrap_or_default();
    let words = [run.entrypoint, run.cmd].into_iter().flatten().flatten();
    match words.into_iter().next() {
        Some(word) if word.contains('/') => vec![word.trim_start_matches('/').to_owned()],
        Some(word) => FOLDERS.map(|folder| format!("{folder}/{word}")).to_vec(),
        None => Vec::new(),
    }
}

/// Converts or mirrors an image, in a process of its own.
fn run(request: &BenchPull, verb: &str, from: &Reference, to: &Reference) -> anyhow::Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([verb, "--quiet"]).args(request.registry.words());
    let platform = request.platform.as_ref().map(ToString::to_string);
    command.args(platform.iter().flat_map(|platform| ["--platform", platform]));
    let output = command.arg(from.to_string()).arg(to.to_string()).output()?;
    if !output.status.success() {
        bail!("cannot {verb} `{from}`: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Writes one of the images that are made up.
pub(super) fn write(sample: Sample, reference: &Reference, access: &Access) -> anyhow::Result<()> {
    let mut sink = transport::create(reference, access)?;
    let (mut layers, mut diff_ids) = (Vec::new(), Vec::new());
    loop {
        let mut tar = Vec::new();
        let Some(written) = sample::layer(sample, layers.len(), &mut tar) else { break };
        written?;
        diff_ids.push(DiffId::of(&tar).to_string());
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(&tar)?;
        layers.push(put(&mut *sink, MediaType::OCI_LAYER_GZIP, &gzip.finish()?)?);
    }
    let platform = platform::Selector::host().to_string();
    let (os, architecture) = platform.split_once('/').unwrap_or((&platform, ""));
    let config = json!({
        "architecture": architecture, "os": os,
        "config": { "Cmd": [format!("/{}", sample::PROGRAM)] },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let config = put(&mut *sink, MediaType::OCI_CONFIG, config.to_string().as_bytes())?;
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MediaType::OCI_MANIFEST),
        artifact_type: None,
        config,
        layers,
        subject: None,
        annotations: Default::default(),
        other: Default::default(),
    };
    let manifest = Exact::encode(MediaType::OCI_MANIFEST, manifest)?;
    Ok(sink.commit_document(&Document::Manifest(Arc::new(manifest)))?)
}

fn put(sink: &mut dyn ImageSink, media_type: MediaType, bytes: &[u8]) -> anyhow::Result<Descriptor> {
    let digest = BlobDigest::of(bytes);
    let mut blob = sink.start_blob()?;
    blob.write_all(bytes)?;
    let len = blob.commit(digest)?;
    Ok(Descriptor::new(media_type, digest, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_of_an_image_is_found_by_its_config() {
        let of = |config: &str| programs(config.as_bytes());
        assert_eq!(of(r#"{"config":{"Entrypoint":["/bin/a"],"Cmd":["b"]}}"#), ["bin/a"]);
        assert_eq!(of(r#"{"config":{"Entrypoint":null,"Cmd":["b"]}}"#)[3], "usr/bin/b");
        assert_eq!(of(r#"{"config":null}"#), Vec::<String>::new());
        assert_eq!(of("nonsense"), Vec::<String>::new());
    }
}
