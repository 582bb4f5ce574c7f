//! Whether what was asked for is there.

use crate::error::Error;
use crate::platform::{Platform, Selector};
use crate::reference::Reference;
use crate::tree::{Content, Node};

/// Checks that every selector chooses an image that is there or, without any, that something is there.
///
/// # Errors
/// [`Error::NoPlatform`] when a selector chooses nothing that is listed, [`Error::AbsentPlatform`] when what it chooses
/// is not there, [`Error::NoImages`] when nothing is.
pub fn check(reference: &Reference, root: &Node, selectors: &[Selector]) -> Result<(), Error> {
    let mut found = Found::default();
    found.add(root);
    match selectors {
        [] => found.check_any(reference),
        _ => selectors.iter().try_for_each(|selector| found.check(reference, selector)),
    }
}

/// What an image lists.
#[derive(Debug, Default)]
struct Found {
    images: Vec<Listed>,
    /// Whether something is there that is no image.
    other: bool,
}

#[derive(Debug)]
struct Listed {
    platform: Option<Platform>,
    /// What stands for it in messages, if it is not there.
    absent: Option<String>,
}

impl Listed {
    fn is_chosen_by(&self, selector: &Selector) -> bool {
        self.platform.as_ref().is_some_and(|platform| selector.matches(platform))
    }
}

impl Found {
    fn add(&mut self, node: &Node) {
        match &node.content {
            Content::Index(_, children) => children.iter().for_each(|child| self.add(child)),
            Content::Artifact(_) | Content::Blob => self.other = true,
            Content::Image(image) => {
                self.images.push(Listed { platform: Some(image.platform.clone()), absent: None });
            }
            Content::NotSelected => {
                self.images.push(Listed { platform: node.listed.platform.clone(), absent: None });
            }
            Content::Absent(_) if node.listed.attests().is_some() => {}
            Content::Absent(absent) => {
                let platform = absent.platform.clone();
                let mut name = platform.as_ref().map_or(String::new(), |platform| format!("{platform} as "));
                name.push_str(&node.listed.digest.to_string());
                if absent.missing.digest != node.listed.digest {
                    name.push_str(&format!(" without its blob {}", absent.missing.digest));
                }
                self.images.push(Listed { platform, absent: Some(name) });
            }
        }
    }

    fn check(&self, reference: &Reference, selector: &Selector) -> Result<(), Error> {
        let chosen = |listed: &&Listed| listed.is_chosen_by(selector);
        if self.images.iter().filter(chosen).any(|listed| listed.absent.is_none()) {
            return Ok(());
        }
        let place = Box::new(reference.clone());
        let absent: Vec<String> =
            self.images.iter().filter(chosen).filter_map(|listed| listed.absent.clone()).collect();
        let others = self.platforms(|listed| !listed.is_chosen_by(selector));
        Err(match absent.is_empty() {
            true => Error::NoPlatform { place, wanted: selector.to_string(), listed: others },
            false => Error::AbsentPlatform { place, absent, others },
        })
    }

    fn check_any(&self, reference: &Reference) -> Result<(), Error> {
        let place = Box::new(reference.clone());
        let absent: Vec<String> = self.images.iter().filter_map(|listed| listed.absent.clone()).collect();
        match (self.images.len().saturating_sub(absent.len()), absent.len(), self.other) {
            (0, 0, false) => Err(Error::NoImages { place }),
            (0, 0, true) | (1.., ..) => Ok(()),
            (0, ..) => Err(Error::AbsentPlatform { place, absent, others: Vec::new() }),
        }
    }

    /// Names platforms, each once.
    fn platforms(&self, wanted: impl Fn(&Listed) -> bool) -> Vec<String> {
        let mut names = Vec::new();
        for listed in self.images.iter().filter(|listed| wanted(listed)) {
            let name = listed.platform.as_ref().map(ToString::to_string);
            names.extend(name.filter(|name| !names.contains(name)));
        }
        names
    }
}
