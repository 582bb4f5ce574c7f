//! What is taken to be here.

use std::collections::HashSet;

use chunked::estimate::{Contents, Known, Paths};
use chunked::{BlobDigest, Chunk, ContentDigest, DiffId, Layer};
use registry::{Descriptor, ImageSource, Instance, Operand, Reference};
use serde::Serialize;
use store::fetch::Verification;
use store::pull::Identity;
use store::{Store, pull};

use super::open;
use crate::args::StorePlace;
use crate::image_name::stored_name;

/// What is taken to be here, as the pull would find it.
#[derive(Debug)]
pub(super) struct Here {
    pub(super) content: Content,
    pub(super) paths: Paths,
    pub(super) compared: Compared,
}

/// What was compared with.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "with")]
pub(super) enum Compared {
    /// A store.
    Store {
        /// Where it is.
        root: String,
        /// Whether there is one.
        is_there: bool,
        /// The image in it whose paths are compared.
        image: Option<String>,
    },
    /// An image that is taken to be all that is here.
    Image {
        /// Its name.
        name: String,
        /// The digest of its manifest.
        manifest: BlobDigest,
        /// Layers without a TOC, of which nobody can say what they hold.
        plain_layers: u64,
    },
}

/// Whose content it is.
#[derive(Debug)]
pub(super) enum Content {
    /// There is none.
    Nothing,
    /// That of a store.
    Store(Box<Store>),
    /// That of an image.
    Image(Box<Image>),
}

/// What an image holds, as its TOCs say.
#[derive(Debug, Default)]
pub(super) struct Image {
    contents: Contents,
    blobs: HashSet<BlobDigest>,
    diff_ids: HashSet<DiffId>,
}

impl Here {
    /// Takes the store, if there is one. Paths are compared with those of the image that the estimated one would replace:
    /// that of the same name, otherwise the last one of the same repository and platform.
    pub(super) fn store(
        place: &StorePlace,
        reference: &Reference,
        instance: &Instance,
    ) -> anyhow::Result<Self> {
        let root = place.path()?.display().to_string();
        let Some(store) = place.find()? else {
            let compared = Compared::Store { root, is_there: false, image: None };
            return Ok(Self { content: Content::Nothing, paths: Paths::default(), compared });
        };
        let platform = instance.platform.to_string();
        let images = store.images().list()?;
        let replaced = images.iter().find(|image| image.name == stored_name(reference)).or_else(|| {
            let is_kin = |image: &&store::Image| image.platform == platform && is_kin(&image.name, reference);
            images.iter().rfind(is_kin)
        });
        let mut paths = Paths::default();
        for toc_digest in replaced.iter().flat_map(|image| &image.layers) {
            if let Some(record) = store.layers().get(toc_digest)? {
                store.layers().visit_toc(&record, |entry| paths.add(&entry))?;
            }
        }
        let compared =
            Compared::Store { root, is_there: true, image: replaced.map(|image| image.name.clone()) };
        Ok(Self { content: Content::Store(Box::new(store)), paths, compared })
    }

    /// Takes an image, and nothing else.
    pub(super) fn image(source: &dyn ImageSource, instance: &Instance) -> anyhow::Result<Self> {
        let (mut image, mut paths, mut plain_layers) = (Image::default(), Paths::default(), 0);
        let mut layers = Vec::new();
        for (descriptor, diff_id) in instance.layers() {
            image.diff_ids.extend(diff_id);
            if image.blobs.insert(descriptor.digest) {
                layers.push(descriptor);
            }
        }
        open::each(source, &layers, |_, opened| {
            match opened.layer {
                Layer::Plain { .. } => plain_layers += 1,
                Layer::Chunked(layer) => layer.toc.entries.iter().for_each(|entry| {
                    image.contents.add(entry);
                    paths.add(entry);
                }),
            }
            Ok(())
        })?;
        let (name, manifest) = (source.reference().to_string(), instance.manifest.digest());
        let compared = Compared::Image { name, manifest, plain_layers };
        Ok(Self { content: Content::Image(Box::new(image)), paths, compared })
    }
}

impl Content {
    /// Tells whether a layer is here, so that nothing of it is fetched, not even its TOC.
    pub(super) fn has_layer(
        &self,
        layer: &Descriptor,
        diff_id: Option<&DiffId>,
    ) -> Result<bool, store::Error> {
        match self {
            Self::Nothing => Ok(false),
            Self::Store(store) => {
                let lookup = |key: &str| layer.annotations.get(key).map(String::as_str);
                let identity = Identity::new(layer.digest, diff_id.copied(), lookup);
                Ok(pull::find_present(store, &identity, Verification::DiffId)?.is_some())
            }
            Self::Image(image) => {
                let has_tar = diff_id.is_some_and(|diff_id| image.diff_ids.contains(diff_id));
                Ok(has_tar || image.blobs.contains(&layer.digest))
            }
        }
    }
}

impl Known for Content {
    type Error = store::Error;

    fn has_content(&self, digest: &ContentDigest, len: u64) -> Result<bool, store::Error> {
        match self {
            Self::Nothing => Ok(false),
            Self::Store(store) => store.has_content(digest, len),
            Self::Image(image) => {
                let Ok(is_here) = image.contents.has_content(digest, len);
                Ok(is_here)
            }
        }
    }

    fn has_chunks(&self, digest: &ContentDigest, chunks: &[Chunk]) -> Result<Vec<bool>, store::Error> {
        match self {
            Self::Nothing => Ok(Vec::new()),
            Self::Store(store) => store.has_chunks(digest, chunks),
            Self::Image(image) => {
                let Ok(are_here) = image.contents.has_chunks(digest, chunks);
                Ok(are_here)
            }
        }
    }
}

/// Tells whether an image in the store comes from the same repository or layout.
fn is_kin(name: &str, reference: &Reference) -> bool {
    match (name.parse(), reference) {
        (Ok(Operand::Image(Reference::Registry(one))), Reference::Registry(other)) => {
            (one.host(), one.repository()) == (other.host(), other.repository())
        }
        (
            Ok(Operand::Image(Reference::OciLayout { dir: one, .. })),
            Reference::OciLayout { dir: other, .. },
        ) => one == *other,
        _ => false,
    }
}
