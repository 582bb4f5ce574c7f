//! The images behind one reference: a single one, or one for each platform.

use std::collections::BTreeSet;
use std::sync::Arc;

use chunked::{BlobDigest, DiffId};
use registry::platform::Selector;
use registry::{Config, Descriptor, Document, Error, Exact, ImageSource, Manifest, Platform};

/// What stands behind a reference.
#[derive(Debug, Default)]
pub(crate) struct Instances {
    /// The images that are there.
    pub(crate) present: Vec<Instance>,
    /// Manifests and indexes that an index lists and that are not there: the index is sparse.
    pub(crate) absent: Vec<Descriptor>,
    /// Manifests of things that are no images: attestations, signatures.
    pub(crate) other: Vec<Descriptor>,
}

/// One image.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) platform: Platform,
    pub(crate) manifest: Arc<Exact<Manifest>>,
    /// The digests of the layers' tars, from the configuration; as many as there are layers, or wrong.
    pub(crate) diff_ids: Vec<DiffId>,
}

/// The platform that was asked for is not there.
#[derive(Debug, thiserror::Error)]
#[error("`{reference}` has no image for the platforms asked for; there are: {present}")]
pub(crate) struct NoSuchPlatform {
    reference: String,
    present: String,
}

impl Instances {
    /// Finds the images of `source` that one of `platforms` chooses, or all when none is named.
    pub(crate) fn find(source: &dyn ImageSource, platforms: &[Selector]) -> anyhow::Result<Self> {
        let mut found = Self::default();
        found.visit(source, source.root(), &mut BTreeSet::new())?;
        if platforms.is_empty() {
            return Ok(found);
        }
        let wanted = |platform: &Platform| platforms.iter().any(|selector| selector.matches(platform));
        let there: Vec<_> = found.present.iter().map(|instance| instance.platform.to_string()).collect();
        found.present.retain(|instance| wanted(&instance.platform));
        found.absent.retain(|descriptor| descriptor.platform.as_ref().is_none_or(wanted));
        if found.present.is_empty() {
            let (reference, present) = (source.reference().to_string(), there.join(", "));
            return Err(NoSuchPlatform { reference, present }.into());
        }
        Ok(found)
    }

    /// Follows a descriptor. Each document is visited once, so that indexes that list each other's content many times
    /// over cost nothing.
    fn visit(
        &mut self,
        source: &dyn ImageSource,
        descriptor: &Descriptor,
        seen: &mut BTreeSet<BlobDigest>,
    ) -> Result<(), Error> {
        if !seen.insert(descriptor.digest) {
            return Ok(());
        }
        match source.document(descriptor)? {
            None => self.absent.push(descriptor.clone()),
            Some(Document::Index(index)) => {
                for child in &index.value().manifests {
                    match child.media_type.document() {
                        Some(_) => self.visit(source, child, seen)?,
                        None => self.other.push(child.clone()),
                    }
                }
            }
            // An attestation has the form of an image, and layers that are none.
            Some(Document::Manifest(manifest))
                if manifest.value().is_image() && descriptor.attests().is_none() =>
            {
                self.present.push(Instance::read(source, descriptor, manifest)?);
            }
            Some(Document::Manifest(_)) => self.other.push(descriptor.clone()),
        }
        Ok(())
    }
}

impl Instance {
    fn read(
        source: &dyn ImageSource,
        descriptor: &Descriptor,
        manifest: Arc<Exact<Manifest>>,
    ) -> Result<Self, Error> {
        let config = &manifest.value().config;
        let bytes = source.small_blob(config)?.ok_or_else(|| Error::NoBlob {
            place: Box::new(source.reference().clone()),
            digest: Box::new(config.digest),
        })?;
        let Config { platform, rootfs } =
            Config::parse(&bytes).map_err(|invalid| source.document_error(config, invalid))?;
        let platform = descriptor.platform.clone().unwrap_or(platform);
        Ok(Self { platform, manifest, diff_ids: rootfs.diff_ids })
    }

    /// Returns the layers, the lowest first, with the digests of their tars where there is one.
    pub(crate) fn layers(&self) -> impl Iterator<Item = (&Descriptor, Option<DiffId>)> {
        let diff_ids = self.diff_ids.iter().copied().map(Some).chain(std::iter::repeat(None));
        self.manifest.value().layers.iter().zip(diff_ids)
    }
}

/// Says of what an index lists why there is nothing more to say about it.
pub(crate) fn not_images(absent: &[Descriptor], other: &[Descriptor]) -> String {
    let line = |descriptor: &Descriptor, why: &str| {
        let platform =
            descriptor.platform.as_ref().map(|platform| format!("{platform} ")).unwrap_or_default();
        format!("{platform}{}: {why}\n", descriptor.digest)
    };
    let absent = absent.iter().map(|descriptor| line(descriptor, "not there, the index is sparse"));
    let other = other.iter().map(|descriptor| line(descriptor, "not an image"));
    absent.chain(other).collect()
}
