//! An image for three platforms with everything that is said about it, and what is done with it.

use std::path::Path;

use chunked::BlobDigest;
use morsel_registry::client::{Options as Access_, Registries};
use morsel_registry::descriptor::{ATTESTATION_SUBJECT, Descriptor};
use morsel_registry::image::{Document, Index};
use morsel_registry::media_type::MediaType;
use morsel_registry::mirror::{self, Destination, Done, Options, Placed, Plan, Selection};
use morsel_registry::transport::{self, Access};
use morsel_registry::{Error, ImageSink, ImageSource, Platform, Reference};
use testkit::data;
use testkit::oci::gzip;

use crate::made::{config, index_of, manifest, put_blob, put_image, put_index, put_manifest, tar};

pub(crate) const AMD64: usize = 0;
pub(crate) const ARM64: usize = 1;
pub(crate) const S390X: usize = 2;

/// An image for `linux/amd64`, `linux/arm64/v8` and `linux/s390x`.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) root: Descriptor,
    /// The images, in the order of the constants.
    pub(crate) images: Vec<Descriptor>,
    /// The attestations of the first and the last image, which the index lists.
    pub(crate) attestations: Vec<Descriptor>,
    /// What is said about the index and about the images, by subject.
    pub(crate) about_index: Vec<Descriptor>,
    pub(crate) about_images: Vec<Descriptor>,
}

impl Sample {
    /// Puts the image to `place`.
    pub(crate) fn put(place: &str) -> Self {
        let mut sink = create(place);
        let base = tar(&[("base", &data::stream(1, 200_000))]);
        let mut images: Vec<Descriptor> = ["linux/amd64", "linux/arm64", "linux/s390x"]
            .iter()
            .enumerate()
            .map(|(number, platform)| {
                let own = tar(&[("own", &data::stream(number as u64 + 2, 100_000))]);
                put_image(&mut *sink, platform, &[base.clone(), own])
            })
            .collect();
        images[ARM64].platform.as_mut().unwrap().variant = Some("v8".to_owned());
        let attestations = vec![attest(&mut *sink, &images[AMD64]), attest(&mut *sink, &images[S390X])];
        let listed: Vec<Descriptor> = images.iter().chain(&attestations).cloned().collect();
        let root = put_index(&mut *sink, Index::of(listed));
        let about_index = vec![refer(&mut *sink, &root), sign(&mut *sink, &root)];
        let about_images =
            images.iter().flat_map(|image| [refer(&mut *sink, image), sign(&mut *sink, image)]).collect();
        sink.commit(&root).unwrap();
        Self { root, images, attestations, about_index, about_images }
    }

    /// Returns the digest of an image.
    pub(crate) fn digest(&self, image: usize) -> String {
        self.images[image].digest.to_string()
    }
}

/// Puts an attestation as BuildKit lists it in the index.
fn attest(sink: &mut dyn ImageSink, image: &Descriptor) -> Descriptor {
    let layer = put_blob(
        sink,
        MediaType::from("application/vnd.in-toto+json".to_owned()),
        image.digest.to_string().as_bytes(),
    );
    let config = put_blob(sink, MediaType::OCI_CONFIG, &config("unknown/unknown", &[]));
    let mut attestation = put_manifest(sink, manifest(config, vec![layer]));
    attestation.annotations.insert(ATTESTATION_SUBJECT.to_owned(), image.digest.to_string());
    attestation.platform = Some(Platform::new("unknown", "unknown"));
    attestation
}

/// Puts a bill of materials whose subject is `subject`.
fn refer(sink: &mut dyn ImageSink, subject: &Descriptor) -> Descriptor {
    let layer = put_blob(
        sink,
        MediaType::from("text/spdx".to_owned()),
        format!("bill of {}", subject.digest).as_bytes(),
    );
    let config = put_blob(sink, MediaType::from("application/vnd.oci.empty.v1+json".to_owned()), b"{}");
    let mut bill = manifest(config, vec![layer]);
    bill.artifact_type = Some("application/vnd.example.bill".to_owned());
    bill.subject = Some(subject.bare());
    put_manifest(sink, bill)
}

/// Puts a signature as cosign tags it.
fn sign(sink: &mut dyn ImageSink, subject: &Descriptor) -> Descriptor {
    let payload = serde_json::json!({"critical": {
        "identity": {"docker-reference": "h.io/app"},
        "image": {"docker-manifest-digest": subject.digest.to_string()},
        "type": "cosign container image signature",
    }, "optional": null});
    let media_type = MediaType::from("application/vnd.dev.cosign.simplesigning.v1+json".to_owned());
    let layer = put_blob(sink, media_type, payload.to_string().as_bytes());
    let config = put_blob(
        sink,
        MediaType::OCI_CONFIG,
        format!(
            r#"{{"architecture":"","os":"","rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
            layer.digest
        )
        .as_bytes(),
    );
    let exact =
        morsel_registry::Exact::encode(MediaType::OCI_MANIFEST, manifest(config, vec![layer])).unwrap();
    let document = Document::Manifest(std::sync::Arc::new(exact));
    sink.put_tagged(&tag_of(&subject.digest), &document).unwrap();
    document.descriptor()
}

/// Returns the tag under which cosign finds the signature of `subject`.
pub(crate) fn tag_of(subject: &BlobDigest) -> String {
    format!("sha256-{}.sig", subject.0.hex())
}

/// Mirrors what `platforms` choose, and returns what was planned and done.
pub(crate) fn mirror(source: &str, destination: &str, platforms: &[&str]) -> Result<(Plan, Done), Error> {
    mirror_as(source, destination, &only(platforms))
}

pub(crate) fn mirror_as(source: &str, destination: &str, options: &Options) -> Result<(Plan, Done), Error> {
    mirror_from(&*open(source), destination, options, &Placed::default())
}

pub(crate) fn mirror_from(
    source: &dyn ImageSource,
    destination: &str,
    options: &Options,
    placed: &Placed,
) -> Result<(Plan, Done), Error> {
    let mut destination = Destination::create(&reference(destination), &access(), options.jobs.get())?;
    let plan = mirror::plan(source, &mut destination, options, placed)?;
    let done = mirror::run(&plan, source, destination, options, placed, &mirror::NoProgress)?;
    Ok((plan, done))
}

pub(crate) fn only(platforms: &[&str]) -> Options {
    let platforms = platforms.iter().map(|platform| platform.parse().unwrap()).collect();
    Options { selection: Selection { platforms, ..Selection::default() }, ..Options::default() }
}

pub(crate) fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

pub(crate) fn access() -> Access {
    let registries = Registries::new(Access_ { ..super::options() });
    Access { scratch: std::env::temp_dir(), registries }
}

pub(crate) fn open(place: &str) -> Box<dyn ImageSource> {
    transport::open(&reference(place), &access()).unwrap()
}

pub(crate) fn create(place: &str) -> Box<dyn ImageSink> {
    transport::create(&reference(place), &access()).unwrap()
}

/// Tells whether a place has a manifest or index.
pub(crate) fn has(place: &str, descriptor: &Descriptor) -> bool {
    open(place).document(&descriptor.bare()).unwrap().is_some()
}

/// Returns the exact bytes of what the name of a place means.
pub(crate) fn root_bytes(place: &str) -> Vec<u8> {
    let source = open(place);
    source.document(source.root()).unwrap().unwrap().bytes().to_vec()
}

/// Returns what an index lists.
pub(crate) fn listed(place: &str) -> Vec<Descriptor> {
    let source = open(place);
    index_of(&*source, source.root()).manifests
}

/// Returns `oci:DIR/NAME:1`.
pub(crate) fn layout(dir: &Path, name: &str) -> String {
    format!("oci:{}:1", dir.join(name).display())
}

/// Compresses a layer, for images with several encodings.
pub(crate) fn gzip_layer(sink: &mut dyn ImageSink, tar: &[u8]) -> Descriptor {
    put_blob(sink, MediaType::OCI_LAYER_GZIP, &gzip(tar))
}
