//! The images behind one reference: a single one, or one for each platform.

use std::iter;
use std::sync::Arc;

use chunked::DiffId;

use crate::descriptor::Descriptor;
use crate::error::Error;
use crate::image::{Exact, Manifest};
use crate::platform::{Platform, Selector};
use crate::selection;
use crate::source::ImageSource;
use crate::tree::{self, Content, Node, Others};

/// What stands behind a reference.
#[derive(Debug, Default)]
pub struct Instances {
    /// The images that are there; the same manifest more than once if it is listed for several platforms.
    pub present: Vec<Instance>,
    /// What an index lists and is not there, by its descriptor in the index: the index is sparse.
    pub absent: Vec<Descriptor>,
    /// What is there and is no image: attestations, signatures.
    pub other: Vec<Descriptor>,
}

/// One image.
#[derive(Debug)]
pub struct Instance {
    /// What it runs on.
    pub platform: Platform,
    /// Its manifest.
    pub manifest: Arc<Exact<Manifest>>,
    /// The digests of the layers' tars, from the configuration; as many as there are layers, or wrong.
    pub diff_ids: Vec<DiffId>,
}

impl Instances {
    /// Finds the images of `source` that one of `platforms` chooses, or all when none is named.
    ///
    /// # Errors
    /// As [`tree::load`] and [`selection::check`]: an image that is missing as a whole is an error, and so is a
    /// selector that chooses nothing that is there. Only artifacts may be there: `present` is then empty.
    pub fn find(source: &dyn ImageSource, platforms: &[Selector]) -> Result<Self, Error> {
        let root = tree::load(source, platforms, Others::Skip)?;
        selection::check(source, &root, platforms)?;
        let mut found = Self::default();
        found.add(root);
        Ok(found)
    }

    fn add(&mut self, node: Node) {
        match node.content {
            Content::Index(_, children) => children.into_iter().for_each(|child| self.add(child)),
            Content::Artifact(_) | Content::Blob => self.other.push(node.listed),
            Content::Absent(_) => self.absent.push(node.listed),
            Content::NotSelected => {}
            Content::Image(image) => {
                let tree::Image { manifest, config, platform, selected } = *image;
                let Some(config) = config.filter(|_| selected) else { return };
                self.present.push(Instance { platform, manifest, diff_ids: config.rootfs.diff_ids });
            }
        }
    }
}

impl Instance {
    /// Returns the layers, the lowest first, with the digests of their tars where there is one.
    pub fn layers(&self) -> impl Iterator<Item = (&Descriptor, Option<DiffId>)> {
        let diff_ids = self.diff_ids.iter().copied().map(Some).chain(iter::repeat(None));
        self.manifest.value().layers.iter().zip(diff_ids)
    }
}
