//! Images made for tests.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use chunked::BlobDigest;
use chunked::digest::DiffId;
use morsel_registry::client::{Options, Registries};
use morsel_registry::descriptor::{Annotations, Descriptor};
use morsel_registry::image::{Document, Exact, Index, Manifest};
use morsel_registry::media_type::MediaType;
use morsel_registry::platform::Platform;
use morsel_registry::transport::Access;
use morsel_registry::{Error, ImageSink, ImageSource, Reference, transport};
use testkit::oci::gzip;
use testkit::tar::Tar;

pub(crate) fn reference(transport: &str, path: &Path, image: &str) -> Reference {
    format!("{transport}:{}{image}", path.display()).parse().unwrap()
}

pub(crate) fn open(reference: &Reference) -> Result<Box<dyn ImageSource>, Error> {
    transport::open(reference, &access())
}

pub(crate) fn create(reference: &Reference) -> Result<Box<dyn ImageSink>, Error> {
    transport::create(reference, &access())
}

fn access() -> Access {
    Access { scratch: std::env::temp_dir(), registries: Registries::new(Options::default()) }
}

/// Returns the error of something that has to fail, with its causes. Digits of digests, which change with the
/// compressor, are left out.
pub(crate) fn failure<T>(result: Result<T, Error>) -> String {
    let Err(error) = result else { panic!("it worked") };
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    mask_digests(&text)
}

pub(crate) fn mask_digests(text: &str) -> String {
    let mut parts = text.split("sha256:");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |masked, part| {
        masked + "sha256:..." + part.trim_start_matches(|c: char| c.is_ascii_hexdigit())
    })
}

/// A tar of files with the given contents.
pub(crate) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    files.iter().fold(Tar::new(), |tar, (name, content)| tar.file(name, content)).finish()
}

pub(crate) fn put_blob(sink: &mut dyn ImageSink, media_type: MediaType, bytes: &[u8]) -> Descriptor {
    let digest = BlobDigest::of(bytes);
    let mut blob = sink.start_blob().unwrap();
    blob.write_all(bytes).unwrap();
    let len = blob.commit(digest).unwrap();
    Descriptor::new(media_type, digest, len)
}

pub(crate) fn config(platform: &str, tars: &[Vec<u8>]) -> Vec<u8> {
    let (os, architecture) = platform.split_once('/').unwrap();
    let diff_ids: Vec<String> = tars.iter().map(|tar| DiffId::of(tar).to_string()).collect();
    let config = serde_json::json!({
        "architecture": architecture, "os": os, "rootfs": {"type": "layers", "diff_ids": diff_ids}
    });
    serde_json::to_vec(&config).unwrap()
}

pub(crate) fn manifest(config: Descriptor, layers: Vec<Descriptor>) -> Manifest {
    Manifest {
        schema_version: 2,
        media_type: Some(MediaType::OCI_MANIFEST),
        artifact_type: None,
        config,
        layers,
        subject: None,
        annotations: Annotations::new(),
        other: serde_json::Map::new(),
    }
}

pub(crate) fn put_manifest(sink: &mut dyn ImageSink, manifest: Manifest) -> Descriptor {
    let media_type = manifest.media_type.clone().unwrap_or(MediaType::OCI_MANIFEST);
    let document = Document::Manifest(Arc::new(Exact::encode(media_type, manifest).unwrap()));
    sink.put_document(&document).unwrap();
    document.descriptor()
}

pub(crate) fn put_index(sink: &mut dyn ImageSink, index: Index) -> Descriptor {
    let document = Document::Index(Arc::new(Exact::encode(MediaType::OCI_INDEX, index).unwrap()));
    sink.put_document(&document).unwrap();
    document.descriptor()
}

/// An image of gzip layers.
pub(crate) fn put_image(sink: &mut dyn ImageSink, platform: &str, tars: &[Vec<u8>]) -> Descriptor {
    let layer = |tar: &Vec<u8>| put_blob(sink, MediaType::OCI_LAYER_GZIP, &gzip(tar));
    let layers = tars.iter().map(layer).collect();
    let config = put_blob(sink, MediaType::OCI_CONFIG, &config(platform, tars));
    let mut descriptor = put_manifest(sink, manifest(config, layers));
    let (os, architecture) = platform.split_once('/').unwrap();
    descriptor.platform = Some(Platform::new(os, architecture));
    descriptor
}

pub(crate) fn manifest_of(source: &dyn ImageSource, descriptor: &Descriptor) -> Manifest {
    match source.document(descriptor).unwrap().unwrap() {
        Document::Manifest(manifest) => manifest.value().clone(),
        Document::Index(_) => panic!("an index"),
    }
}

pub(crate) fn index_of(source: &dyn ImageSource, descriptor: &Descriptor) -> Index {
    match source.document(descriptor).unwrap().unwrap() {
        Document::Index(index) => index.value().clone(),
        Document::Manifest(_) => panic!("a manifest"),
    }
}

pub(crate) fn blob_of(source: &dyn ImageSource, descriptor: &Descriptor) -> Vec<u8> {
    let blob = source.blob(descriptor).unwrap().unwrap();
    let mut bytes = Vec::new();
    morsel_registry::blob::read_verified(&*blob, descriptor).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}
