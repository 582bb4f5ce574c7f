//! Reads what is wanted of an image: its documents, in the shape in which indexes list them.

use std::collections::HashMap;
use std::sync::Arc;

use chunked::BlobDigest;

use super::budget::Budget;
use super::crew;
use super::select::{self, Judgement, Selection, Why};
use crate::descriptor::Descriptor;
use crate::error::Error;
use crate::image::{Config, Document, Exact, Index, Invalid, Manifest};
use crate::media_type::DocumentKind;
use crate::platform::Platform;
use crate::source::ImageSource;
use crate::tree::DEPTH_MAX;

/// What an index lists in one place, or the root of an image.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// The descriptor as it is listed.
    pub(super) listed: Descriptor,
    /// What is to become of it.
    pub(super) content: Content,
}

/// What a descriptor points at, as far as it is wanted.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// An image or artifact that is wanted.
    Manifest(Arc<Exact<Manifest>>),
    /// Something else that is wanted.
    Blob,
    /// Further children.
    Index(Arc<Exact<Index>>, Vec<Node>),
    /// Something that is wanted and not there.
    Absent,
    /// Something that is not wanted.
    Left(Why),
}

impl Node {
    /// Lists everything that is no index, in the order of the indexes.
    pub(super) fn leaves(&self) -> Vec<&Self> {
        match &self.content {
            Content::Index(_, children) => children.iter().flat_map(Self::leaves).collect(),
            _ => vec![self],
        }
    }

    /// Lists the indexes below it of which nothing is kept.
    pub(super) fn left_indexes(&self) -> Vec<&Descriptor> {
        let Content::Index(_, children) = &self.content else { return Vec::new() };
        let below = children.iter().flat_map(Self::left_indexes);
        let is_left = |child: &&Self| matches!(child.content, Content::Index(..)) && !child.is_kept();
        below.chain(children.iter().filter(is_left).map(|child| &child.listed)).collect()
    }

    /// Tells whether it is wanted and there: an index is if something below it is.
    pub(super) fn is_kept(&self) -> bool {
        match &self.content {
            Content::Manifest(_) | Content::Blob => true,
            Content::Index(_, children) => children.iter().any(Self::is_kept),
            Content::Absent | Content::Left(_) => false,
        }
    }

    /// Lists the manifests and indexes that are kept, children before parents.
    pub(super) fn documents(&self) -> Vec<(&Descriptor, Document)> {
        match &self.content {
            Content::Manifest(manifest) => vec![(&self.listed, Document::Manifest(manifest.clone()))],
            Content::Index(index, children) => {
                let kept = children.iter().filter(|child| child.is_kept());
                let mut documents: Vec<_> = kept.flat_map(Self::documents).collect();
                documents.push((&self.listed, Document::Index(index.clone())));
                documents
            }
            Content::Blob | Content::Absent | Content::Left(_) => Vec::new(),
        }
    }
}

/// Reads what `selection` wants of the image, with so many requests at once.
///
/// # Errors
/// [`Error::NoBlob`] when the root is not there. Others when a document is malformed, and when indexes are nested too
/// deeply, list too much, or hold too many bytes.
pub(super) fn survey(source: &dyn ImageSource, selection: &Selection, jobs: usize) -> Result<Node, Error> {
    let mut listed = source.root().bare();
    if listed.media_type.document().is_none() {
        return Err(source.document_error(&listed, Invalid::MediaType(listed.media_type.clone())));
    }
    let surveyor = Surveyor { source, selection, jobs, budget: Budget::new(source) };
    let document = surveyor.budget.document(&listed)?.ok_or_else(|| source.no_blob(&listed))?;
    let content = match document {
        Document::Index(index) => surveyor.index(index, DEPTH_MAX)?,
        Document::Manifest(manifest) => {
            listed.platform = surveyor.platform_of(&manifest)?;
            surveyor.only(&listed, manifest)
        }
    };
    Ok(Node { listed, content })
}

struct Surveyor<'a> {
    source: &'a dyn ImageSource,
    selection: &'a Selection,
    jobs: usize,
    budget: Budget<'a>,
}

impl Surveyor<'_> {
    /// Finds out what the only image runs on.
    fn platform_of(&self, manifest: &Exact<Manifest>) -> Result<Option<Platform>, Error> {
        if !manifest.value().is_image() {
            return Ok(None);
        }
        let descriptor = &manifest.value().config;
        let bytes = self.source.small_blob(descriptor)?.ok_or_else(|| self.source.no_blob(descriptor))?;
        let config = Config::parse(&bytes);
        let config = config.map_err(|invalid| self.source.document_error(descriptor, invalid))?;
        Ok(Some(config.platform))
    }

    fn only(&self, listed: &Descriptor, manifest: Arc<Exact<Manifest>>) -> Content {
        match listed.platform.as_ref().is_none_or(|platform| self.selection.takes(platform)) {
            true => self.manifest(manifest),
            false => Content::Left(Why::Platform),
        }
    }

    fn manifest(&self, manifest: Arc<Exact<Manifest>>) -> Content {
        match self.selection.takes_layers(manifest.value()) {
            true => Content::Manifest(manifest),
            false => Content::Left(Why::Encoding),
        }
    }

    fn index(&self, index: Arc<Exact<Index>>, depth: usize) -> Result<Content, Error> {
        let too_deep =
            || Error::TooDeep { place: Box::new(self.source.reference().clone()), limit: DEPTH_MAX };
        let deeper = depth.checked_sub(1).ok_or_else(too_deep)?;
        let listed = &index.value().manifests;
        self.budget.charge(listed.len())?;

        let judged = listed.iter().map(|listed| (listed, self.selection.judge(listed))).collect();
        let mut children = self.children(judged, deeper)?;
        self.follow(&mut children)?;
        share(&mut children);
        Ok(Content::Index(index, children))
    }

    fn children(&self, judged: Vec<(&Descriptor, Judgement)>, depth: usize) -> Result<Vec<Node>, Error> {
        let read = crew::each(&mut vec![(); self.jobs], &judged, |(), (listed, judgement)| {
            Ok(match judgement {
                Judgement::Left(why) => Found::Content(Content::Left(*why)),
                // Decided once it is known what else is kept.
                Judgement::Follows(_) => Found::Content(Content::Left(Why::Attestation)),
                Judgement::Read => self.child(listed)?,
            })
        })?;
        let node = |((listed, _), found): ((&Descriptor, Judgement), Found)| {
            let content = match found {
                Found::Content(content) => content,
                Found::Index(index) => self.index(index, depth)?,
            };
            Ok(Node { listed: listed.clone(), content })
        };
        judged.into_iter().zip(read).map(node).collect()
    }

    fn child(&self, listed: &Descriptor) -> Result<Found, Error> {
        let content = match listed.media_type.document() {
            None if self.source.blob(listed)?.is_some() => Content::Blob,
            None => Content::Absent,
            Some(DocumentKind::Manifest | DocumentKind::Index) => match self.budget.document(listed)? {
                None => Content::Absent,
                Some(Document::Manifest(manifest)) => self.manifest(manifest),
                Some(Document::Index(index)) => return Ok(Found::Index(index)),
            },
        };
        Ok(Found::Content(content))
    }

    /// Reads the attestations of what is kept.
    fn follow(&self, children: &mut [Node]) -> Result<(), Error> {
        let kept: Vec<BlobDigest> =
            children.iter().filter(|child| child.is_kept()).map(|child| child.listed.digest).collect();
        for child in children {
            if let Judgement::Follows(subject) = self.selection.judge(&child.listed)
                && kept.contains(&subject)
                && let Found::Content(content) = self.child(&child.listed)?
            {
                child.content = content;
            }
        }
        Ok(())
    }
}

/// What was found behind a descriptor; children of an index are read later, one level after the other.
enum Found {
    Content(Content),
    Index(Arc<Exact<Index>>),
}

/// Keeps what is listed several times everywhere, if it is kept anywhere: it will be there.
fn share(children: &mut [Node]) {
    let kept: HashMap<BlobDigest, Content> = children
        .iter()
        .filter(|child| child.is_kept())
        .map(|child| (child.listed.digest, child.content.clone()))
        .collect();
    for child in children {
        if let (Content::Left(Why::Platform), Some(content)) =
            (&child.content, kept.get(&child.listed.digest))
        {
            child.content = content.clone();
        }
    }
}

/// Names what a node stands for, in messages: its platform, or else its digest.
pub(super) fn name(listed: &Descriptor) -> String {
    select::platform(listed).map_or_else(|| listed.digest.to_string(), ToString::to_string)
}
