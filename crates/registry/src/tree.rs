//! The documents behind a reference, as far as they are there.

use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::descriptor::Descriptor;
use crate::error::Error;
use crate::image::{Config, Document, Exact, Index, Invalid, Manifest};
use crate::media_type::DocumentKind;
use crate::platform::{Platform, Selector};
use crate::source::ImageSource;

/// Deepest nesting of indexes; one level is what the field uses.
pub(crate) const DEPTH_MAX: usize = 8;
/// Most descriptors in all indexes together: nested indexes that list each other many times would multiply.
pub(crate) const NODES_MAX: usize = 10_000;
/// Most bytes of documents together, each counted as often as it is listed. Parsed they take ten times that.
pub(crate) const DOCUMENTS_LEN_MAX: u64 = 32 << 20;

/// What an index lists in one place, or the root of an image.
#[derive(Debug, Clone)]
pub struct Node {
    /// The descriptor as it is listed.
    pub listed: Descriptor,
    /// What it points at.
    pub content: Content,
}

/// What a descriptor points at.
#[derive(Debug, Clone)]
pub enum Content {
    /// An image.
    Image(Box<Image>),
    /// A manifest that is no image: an attestation, a signature, a chart.
    Artifact(Arc<Exact<Manifest>>),
    /// Further images.
    Index(Arc<Exact<Index>>, Vec<Node>),
    /// A blob that is neither a manifest nor an index.
    Blob,
    /// Something that is not there as a whole.
    Absent(Box<Absent>),
    /// Something that was not looked at, as nobody asked for its platform.
    NotSelected,
}

/// What is not there.
#[derive(Debug, Clone)]
pub struct Absent {
    /// The missing blob: what is listed, or something that it needs.
    pub missing: Descriptor,
    /// What it runs on, if that is known.
    pub platform: Option<Platform>,
}

impl Absent {
    fn document(listed: &Descriptor) -> Box<Self> {
        Box::new(Self { missing: listed.bare(), platform: listed.platform.clone() })
    }
}

/// One image.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its manifest.
    pub manifest: Arc<Exact<Manifest>>,
    /// Its configuration; read only where the image is selected or its platform is not listed.
    pub config: Option<Config>,
    /// What it runs on, by its descriptor or else its configuration.
    pub platform: Platform,
    /// Whether it was asked for.
    pub selected: bool,
}

/// What becomes of images whose platform nobody asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Others {
    /// They are not read, where their platform is listed.
    Skip,
    /// Their manifests are read.
    Read,
}

/// Reads the documents of the image.
///
/// Selectors only decide what is read here; [`crate::selection::check`] tells whether what they choose is there.
///
/// # Errors
/// [`Error::NoBlob`] when the root or what it needs is not there. Others when a document is malformed, when the root is
/// none, and when indexes are nested too deeply, list too much, or hold too many bytes.
pub fn load(source: &dyn ImageSource, platforms: &[Selector], others: Others) -> Result<Node, Error> {
    let left = NonZeroUsize::new(NODES_MAX);
    // What the list of a layout says of the image, above all its name, does not go with it.
    let listed = Descriptor { platform: source.root().platform.clone(), ..source.root().bare() };
    if listed.media_type.document().is_none() {
        return Err(source.document_error(&listed, Invalid::MediaType(listed.media_type.clone())));
    }
    let mut loader = Loader { source, platforms, others, left, len_left: DOCUMENTS_LEN_MAX };
    let root = loader.node(&listed, DEPTH_MAX)?;
    match &root.content {
        Content::Absent(absent) => Err(source.no_blob(&absent.missing)),
        _ => Ok(root),
    }
}

struct Loader<'a> {
    source: &'a dyn ImageSource,
    platforms: &'a [Selector],
    others: Others,
    /// Descriptors that may still be followed.
    left: Option<NonZeroUsize>,
    /// Bytes of documents that may still be read.
    len_left: u64,
}

impl Loader<'_> {
    fn node(&mut self, listed: &Descriptor, depth: usize) -> Result<Node, Error> {
        let too_many =
            || Error::TooManyDocuments { place: Box::new(self.source.reference().clone()), limit: NODES_MAX };
        self.left = NonZeroUsize::new(self.left.ok_or_else(too_many)?.get() - 1);
        Ok(Node { listed: listed.clone(), content: self.content(listed, depth)? })
    }

    fn content(&mut self, listed: &Descriptor, depth: usize) -> Result<Content, Error> {
        match listed.media_type.document() {
            None if self.source.blob(listed)?.is_some() => return Ok(Content::Blob),
            None => return Ok(Content::Absent(Absent::document(listed))),
            Some(DocumentKind::Manifest) if self.can_be_skipped(listed) => return Ok(Content::NotSelected),
            Some(_) => {}
        }
        let Some(document) = self.source.document(listed)? else {
            return Ok(Content::Absent(Absent::document(listed)));
        };
        self.charge(document.bytes().len() as u64)?;
        match document {
            Document::Manifest(manifest) => self.manifest(listed, manifest),
            Document::Index(index) => {
                let deeper = depth.checked_sub(1).ok_or_else(|| Error::TooDeep {
                    place: Box::new(self.source.reference().clone()),
                    limit: DEPTH_MAX,
                })?;
                let children = index.value().manifests.iter().map(|child| self.node(child, deeper));
                let children = children.collect::<Result<_, _>>()?;
                Ok(Content::Index(index, children))
            }
        }
    }

    fn charge(&mut self, len: u64) -> Result<(), Error> {
        self.len_left = self.len_left.checked_sub(len).ok_or_else(|| Error::DocumentsTooLong {
            place: Box::new(self.source.reference().clone()),
            limit: DOCUMENTS_LEN_MAX,
        })?;
        Ok(())
    }

    /// Nobody asks for its platform, and it is not to be read either. Attestations have no platform of their own.
    fn can_be_skipped(&self, listed: &Descriptor) -> bool {
        self.others == Others::Skip
            && listed.attests().is_none()
            && listed.platform.as_ref().is_some_and(|platform| !self.selects(platform))
    }

    fn manifest(&mut self, listed: &Descriptor, manifest: Arc<Exact<Manifest>>) -> Result<Content, Error> {
        if listed.attests().is_some() || !manifest.value().is_image() {
            return Ok(Content::Artifact(manifest));
        }
        if let Some(platform) = listed.platform.clone().filter(|platform| !self.selects(platform)) {
            return Ok(Content::Image(Box::new(Image { manifest, config: None, platform, selected: false })));
        }
        let Some(config) = self.config(&manifest.value().config)? else {
            let missing = manifest.value().config.bare();
            return Ok(Content::Absent(Box::new(Absent { missing, platform: listed.platform.clone() })));
        };
        let platform = listed.platform.clone().unwrap_or_else(|| config.platform.clone());
        let selected = self.selects(&platform);
        Ok(Content::Image(Box::new(Image { manifest, config: Some(config), platform, selected })))
    }

    fn config(&mut self, descriptor: &Descriptor) -> Result<Option<Config>, Error> {
        let Some(bytes) = self.source.small_blob(descriptor)? else { return Ok(None) };
        self.charge(bytes.len() as u64)?;
        Config::parse(&bytes).map(Some).map_err(|invalid| self.source.document_error(descriptor, invalid))
    }

    fn selects(&self, platform: &Platform) -> bool {
        self.platforms.is_empty() || self.platforms.iter().any(|selector| selector.matches(platform))
    }
}
