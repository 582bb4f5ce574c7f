//! The images behind one reference: a single one, or one for each platform.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use chunked::{BlobDigest, DiffId};
use registry::platform::Selector;
use registry::{Config, Descriptor, Document, Error, Exact, ImageSource, Manifest, Platform};

/// Deepest nesting of indexes; one level is what the field uses.
const DEPTH_MAX: usize = 8;
/// Most descriptors in all indexes together: nested indexes that list each other many times would multiply.
const LISTED_MAX: usize = 10_000;

/// What stands behind a reference.
#[derive(Debug, Default)]
pub(crate) struct Instances {
    /// The images that are there.
    pub(crate) present: Vec<Instance>,
    /// Manifests and indexes that an index lists and that are not there: the index is sparse.
    pub(crate) absent: Vec<Descriptor>,
    /// Things that are no images: attestations, signatures.
    pub(crate) other: Vec<Descriptor>,
}

/// One image, on one platform.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    pub(crate) platform: Platform,
    pub(crate) manifest: Rc<Exact<Manifest>>,
    /// The digests of the layers' tars, from the configuration; as many as there are layers, or wrong.
    pub(crate) diff_ids: Rc<[DiffId]>,
}

impl Instances {
    /// Finds the images of `source` that one of `selectors` chooses, or all when there is none.
    ///
    /// # Errors
    /// When the image itself is not there, when a selector chooses nothing that is, and when indexes are nested too
    /// deeply or list too much.
    pub(crate) fn find(source: &dyn ImageSource, selectors: &[Selector]) -> Result<Self, Error> {
        let mut walk = Walk::new(source, selectors);
        let root = source.root();
        match source.document(root)? {
            None => return Err(no_blob(source, root)),
            Some(document) => walk.document(root, document, DEPTH_MAX)?,
        }
        walk.check_selectors()?;
        Ok(walk.found)
    }

    /// Says that none of the listed images is there; `None` when one is, or none is listed.
    pub(crate) fn absence(&self, source: &dyn ImageSource) -> Option<Error> {
        let is_absent = self.present.is_empty() && !self.absent.is_empty();
        is_absent.then(|| Error::AbsentPlatform {
            place: Box::new(source.reference().clone()),
            absent: self.absent.iter().map(name).collect(),
            others: Vec::new(),
        })
    }
}

struct Walk<'a> {
    source: &'a dyn ImageSource,
    selectors: &'a [Selector],
    found: Instances,
    /// Platforms that are listed, but that nobody asked for.
    unwanted: Vec<Platform>,
    /// What was visited: an image is one for each platform it is listed for, everything else is one.
    seen: BTreeSet<(BlobDigest, Option<String>)>,
    /// The images that were read.
    images: BTreeMap<BlobDigest, Instance>,
    listed: usize,
}

impl<'a> Walk<'a> {
    fn new(source: &'a dyn ImageSource, selectors: &'a [Selector]) -> Self {
        Self {
            source,
            selectors,
            found: Instances::default(),
            unwanted: Vec::new(),
            seen: BTreeSet::new(),
            images: BTreeMap::new(),
            listed: 0,
        }
    }

    fn document(&mut self, descriptor: &Descriptor, document: Document, depth: usize) -> Result<(), Error> {
        match document {
            Document::Index(index) => {
                let deeper = depth.checked_sub(1).ok_or_else(|| self.too_deep())?;
                index.value().manifests.iter().try_for_each(|child| self.child(child, deeper))
            }
            Document::Manifest(manifest) if manifest.value().is_image() => {
                let instance = Instance::read(self.source, *manifest)?;
                self.images.insert(descriptor.digest, instance.clone());
                self.add(descriptor, instance);
                Ok(())
            }
            Document::Manifest(_) => {
                self.found.other.push(descriptor.clone());
                Ok(())
            }
        }
    }

    fn child(&mut self, child: &Descriptor, depth: usize) -> Result<(), Error> {
        self.listed += 1;
        if self.listed > LISTED_MAX {
            let place = Box::new(self.source.reference().clone());
            return Err(Error::TooManyDocuments { place, limit: LISTED_MAX });
        }
        if !self.seen.insert((child.digest, child.platform.as_ref().map(Platform::to_string))) {
            return Ok(());
        }
        if child.media_type.document().is_none() || child.attests().is_some() {
            self.found.other.push(child.clone());
        } else if let Some(platform) = child.platform.as_ref().filter(|platform| !self.wants(platform)) {
            self.unwanted.push(platform.clone());
        } else if let Some(image) = self.images.get(&child.digest).cloned() {
            self.add(child, image);
        } else {
            match self.source.document(child)? {
                None => self.found.absent.push(child.clone()),
                Some(document) => self.document(child, document, depth)?,
            }
        }
        Ok(())
    }

    fn add(&mut self, listed: &Descriptor, image: Instance) {
        let platform = listed.platform.clone().unwrap_or(image.platform);
        if self.wants(&platform) {
            self.found.present.push(Instance { platform, ..image });
        } else {
            self.unwanted.push(platform);
        }
    }

    fn wants(&self, platform: &Platform) -> bool {
        self.selectors.is_empty() || self.selectors.iter().any(|selector| selector.matches(platform))
    }

    fn check_selectors(&self) -> Result<(), Error> {
        let is_present = |selector: &Selector| {
            self.found.present.iter().any(|instance| selector.matches(&instance.platform))
        };
        match self.selectors.iter().find(|selector| !is_present(selector)) {
            None => Ok(()),
            Some(selector) => Err(self.nothing_for(selector)),
        }
    }

    fn nothing_for(&self, selector: &Selector) -> Error {
        let place = Box::new(self.source.reference().clone());
        let chosen = |listed: &&Descriptor| listed.platform.as_ref().is_some_and(|it| selector.matches(it));
        let absent: Vec<_> = self.found.absent.iter().filter(chosen).map(name).collect();
        let present = self.found.present.iter().map(|instance| &instance.platform);
        let listed = self.found.absent.iter().filter_map(|descriptor| descriptor.platform.as_ref());
        let others = present.chain(listed).chain(&self.unwanted).filter(|other| !selector.matches(other));
        let others: BTreeSet<_> = others.map(Platform::to_string).collect();
        let others = others.into_iter().collect();
        match absent.is_empty() {
            true => Error::NoPlatform { place, wanted: selector.to_string(), listed: others },
            false => Error::AbsentPlatform { place, absent, others },
        }
    }

    fn too_deep(&self) -> Error {
        Error::TooDeep { place: Box::new(self.source.reference().clone()), limit: DEPTH_MAX }
    }
}

impl Instance {
    fn read(source: &dyn ImageSource, manifest: Exact<Manifest>) -> Result<Self, Error> {
        let config = &manifest.value().config;
        let bytes = source.small_blob(config)?.ok_or_else(|| no_blob(source, config))?;
        let Config { platform, rootfs } =
            Config::parse(&bytes).map_err(|invalid| source.document_error(config, invalid))?;
        Ok(Self { platform, manifest: Rc::new(manifest), diff_ids: rootfs.diff_ids.into() })
    }

    /// Returns the layers, the lowest first, with the digests of their tars where there is one.
    pub(crate) fn layers(&self) -> impl Iterator<Item = (&Descriptor, Option<DiffId>)> {
        let diff_ids = self.diff_ids.iter().copied().map(Some).chain(std::iter::repeat(None));
        self.manifest.value().layers.iter().zip(diff_ids)
    }
}

fn no_blob(source: &dyn ImageSource, descriptor: &Descriptor) -> Error {
    Error::NoBlob { place: Box::new(source.reference().clone()), digest: Box::new(descriptor.digest) }
}

fn name(absent: &Descriptor) -> String {
    match &absent.platform {
        Some(platform) => format!("{platform} as {}", absent.digest),
        None => absent.digest.to_string(),
    }
}
