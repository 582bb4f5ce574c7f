//! Whether what was asked for is there.

use chunked::BlobDigest;

use crate::descriptor::Descriptor;
use crate::error::Error;
use crate::image::Document;
use crate::mirror;
use crate::platform::{Platform, Selector};
use crate::source::ImageSource;
use crate::tree::{Content, Node};

/// Most images that are looked for to say what is there instead.
const LOOKED_FOR_MAX: usize = 16;

/// Checks that every selector chooses an image that is there or, without any, that something is there.
///
/// # Errors
/// [`Error::NoPlatform`] when a selector chooses nothing that is listed, [`Error::AbsentPlatform`] when what it chooses
/// is not there, [`Error::BrokenPlatform`] when a part of it is not, [`Error::NoImages`] when nothing is.
pub fn check(source: &dyn ImageSource, root: &Node, selectors: &[Selector]) -> Result<(), Error> {
    let mut found = Found::default();
    found.add(root);
    match selectors {
        [] => found.check_any(source),
        _ => selectors.iter().try_for_each(|selector| found.check(source, selector)),
    }
}

/// What an image lists.
#[derive(Debug, Default)]
struct Found {
    images: Vec<Listed>,
    /// Whether something is there that is no image.
    other: bool,
}

/// An image in an index.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) descriptor: Descriptor,
    pub(crate) platform: Option<Platform>,
    pub(crate) state: State,
}

/// Whether an image is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It is.
    Present,
    /// Nobody looked.
    NotLookedAt,
    /// It is not.
    Absent,
    /// It is, but this blob of it is not.
    Broken(BlobDigest),
}

impl Listed {
    fn is_chosen_by(&self, selector: &Selector) -> bool {
        self.platform.as_ref().is_some_and(|platform| selector.matches(platform))
    }

    fn is_missing(&self) -> bool {
        matches!(self.state, State::Absent | State::Broken(_))
    }

    /// Names it by its platform and the digest under which it is listed.
    fn name(&self) -> String {
        let platform = self.platform.as_ref().map_or(String::new(), |platform| format!("{platform} as "));
        format!("{platform}{}", self.descriptor.digest)
    }
}

impl Found {
    fn add(&mut self, node: &Node) {
        let (platform, state) = match &node.content {
            Content::Index(_, children) => return children.iter().for_each(|child| self.add(child)),
            Content::Artifact(_) | Content::Blob => {
                self.other = true;
                return;
            }
            Content::Absent(_) if node.listed.attests().is_some() => return,
            Content::Image(image) => (Some(image.platform.clone()), State::Present),
            Content::NotSelected => (node.listed.platform.clone(), State::NotLookedAt),
            Content::Absent(absent) if absent.missing.digest == node.listed.digest => {
                (absent.platform.clone(), State::Absent)
            }
            Content::Absent(absent) => (absent.platform.clone(), State::Broken(absent.missing.digest)),
        };
        self.images.push(Listed { descriptor: node.listed.clone(), platform, state });
    }

    fn check(&self, source: &dyn ImageSource, selector: &Selector) -> Result<(), Error> {
        let (chosen, others): (Vec<_>, Vec<_>) =
            self.images.iter().cloned().partition(|listed| listed.is_chosen_by(selector));
        if chosen.iter().any(|listed| !listed.is_missing()) {
            return Ok(());
        }
        Err(match chosen.is_empty() {
            true => Error::NoPlatform {
                place: Box::new(source.reference().clone()),
                wanted: selector.to_string(),
                listed: platforms(&others),
            },
            false => absence(source, &chosen, &others),
        })
    }

    fn check_any(&self, source: &dyn ImageSource) -> Result<(), Error> {
        let (missing, there): (Vec<_>, Vec<_>) = self.images.iter().cloned().partition(Listed::is_missing);
        match (there.len(), missing.len(), self.other) {
            (0, 0, false) => Err(Error::NoImages { place: Box::new(source.reference().clone()) }),
            (0, 0, true) | (1.., ..) => Ok(()),
            (0, ..) => Err(absence(source, &missing, &[])),
        }
    }
}

/// Says of a blob that is missing which platform of which index it is of, where the root lists its `manifest`.
pub fn broken(source: &dyn ImageSource, manifest: BlobDigest, blob: BlobDigest) -> Option<Error> {
    let Ok(Some(Document::Index(index))) = source.document(source.root()) else { return None };
    let listed = |descriptor: &Descriptor| Listed {
        descriptor: descriptor.clone(),
        platform: descriptor.platform.clone(),
        state: if descriptor.digest == manifest { State::Broken(blob) } else { State::NotLookedAt },
    };
    let all = index.value().manifests.iter().filter(|descriptor| descriptor.attests().is_none()).map(listed);
    let (chosen, others): (Vec<_>, Vec<_>) = all.partition(Listed::is_missing);
    (!chosen.is_empty()).then(|| absence(source, &chosen, &others))
}

/// Says that all of `chosen` are missing, and what is there of the `others`.
pub(crate) fn absence(source: &dyn ImageSource, chosen: &[Listed], others: &[Listed]) -> Error {
    let place = Box::new(source.reference().clone());
    let index = Box::new(source.root().digest);
    let looked_for = others.iter().take(LOOKED_FOR_MAX).filter(|listed| is_there(source, listed));
    let present = platforms(&looked_for.cloned().collect::<Vec<_>>());
    let broken = chosen.iter().find_map(|listed| match listed.state {
        State::Broken(blob) => Some((listed.name(), Box::new(blob))),
        _ => None,
    });
    if let Some((image, blob)) = broken {
        return Error::BrokenPlatform { place, index, image, blob, present };
    }
    // Only the better message is lost where records cannot be read.
    let intents = mirror::intents(source, &index).unwrap_or_default();
    let upstream = intents.into_iter().next_back().map(|intent| intent.source);
    let absent = chosen.iter().map(Listed::name).collect();
    Error::AbsentPlatform { place, index, absent, present, upstream }
}

/// Tells whether an image is there; one that cannot be read now is not said to be.
fn is_there(source: &dyn ImageSource, listed: &Listed) -> bool {
    match listed.state {
        State::Present => true,
        State::NotLookedAt => matches!(source.document(&listed.descriptor), Ok(Some(_))),
        State::Absent | State::Broken(_) => false,
    }
}

/// Names platforms, each once.
fn platforms(images: &[Listed]) -> Vec<String> {
    let mut names = Vec::new();
    for listed in images {
        let name = listed.platform.as_ref().map(ToString::to_string);
        names.extend(name.filter(|name| !names.contains(name)));
    }
    names
}
