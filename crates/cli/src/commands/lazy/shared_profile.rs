//! Profiles that others find: artifacts in the registry of the image, whose subject is its manifest.
//!
//! The manifest has [`TYPE`] as the type of artifact, the empty JSON object for a config (OCI image-spec, "Guidance for an Empty
//! Descriptor"), and one layer: the profile as JSON. Whoever can write to the repository can say what comes first, and
//! nothing else: content is verified as ever.

use anyhow::{Context, ensure};
use chunked::BlobDigest;
use mount::profile::Profile;
use registry::descriptor::Annotations;
use registry::image::DOCUMENT_LEN_MAX;
use registry::transport::{self, Access};
use registry::{Descriptor, Document, Exact, ImageSink, ImageSource, Manifest, MediaType};
use serde_json::Map;

/// The type of artifact, and the media type of its layer.
const TYPE: &str = "application/vnd.morsel.profile.v1+json";
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
const EMPTY: &[u8] = b"{}";
/// Profiles of one image that are read; what more there are is passed over.
const PROFILES_MAX: usize = 4;

/// Puts a profile beside the image with that manifest.
pub(super) fn push(
    source: &dyn ImageSource,
    access: &Access,
    manifest: &Descriptor,
    profile: &Profile,
) -> anyhow::Result<BlobDigest> {
    let json = serde_json::to_vec(profile).context("cannot write the profile as JSON")?;
    ensure!(json.len() as u64 <= DOCUMENT_LEN_MAX, "the profile has more than {DOCUMENT_LEN_MAX} bytes");
    let mut sink = transport::create(source.reference(), access)?;
    let (config, layer) = (put(&mut *sink, EMPTY_TYPE, EMPTY)?, put(&mut *sink, TYPE, &json)?);
    let artifact = Manifest {
        schema_version: 2,
        media_type: Some(MediaType::OCI_MANIFEST),
        artifact_type: Some(TYPE.to_owned()),
        config,
        layers: vec![layer],
        subject: Some(Descriptor::new(manifest.media_type.clone(), manifest.digest, manifest.len)),
        annotations: Annotations::new(),
        other: Map::new(),
    };
    let artifact = Exact::encode(MediaType::OCI_MANIFEST, artifact).context("cannot describe the profile")?;
    let digest = artifact.digest();
    sink.put_document(&Document::Manifest(artifact.into()))?;
    // The name stays what it is; layouts list what is beside it only now.
    sink.commit(source.root())?;
    Ok(digest)
}

fn put(sink: &mut dyn ImageSink, media_type: &str, bytes: &[u8]) -> anyhow::Result<Descriptor> {
    let digest = BlobDigest::of(bytes);
    let mut blob = sink.start_blob()?;
    blob.write_all(bytes).context("cannot write the profile")?;
    blob.commit(digest)?;
    Ok(Descriptor::new(MediaType::from(media_type.to_owned()), digest, bytes.len() as u64))
}

/// Finds the profiles beside the image with that manifest, as one: `None` when there are none, or they cannot be had.
pub(super) fn find(source: &dyn ImageSource, manifest: &BlobDigest) -> Option<Profile> {
    let referrers = source.referrers(manifest).ok()?;
    let is_profile = |referrer: &&Descriptor| referrer.artifact_type.as_deref() == Some(TYPE);
    let profiles = referrers.iter().filter(is_profile).take(PROFILES_MAX);
    let profiles = profiles.filter_map(|referrer| read(source, referrer, manifest));
    profiles.reduce(|first, next| first.and(&next))
}

fn read(source: &dyn ImageSource, referrer: &Descriptor, manifest: &BlobDigest) -> Option<Profile> {
    let Document::Manifest(artifact) = source.document(referrer).ok()?? else { return None };
    let [layer] = artifact.value().layers.as_slice() else { return None };
    let json = source.small_blob(layer).ok()??;
    Profile::parse(&json).filter(|profile| profile.manifest == *manifest)
}
